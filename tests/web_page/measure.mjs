// Milliseconds of runs of a network in onnxruntime-web in Chromium, as JSON:
// node measure.mjs CHROMIUM ADDRESS NETWORK RUNS STEPS, where ADDRESS serves the page with the file NETWORK.

import { chromium } from "playwright-core";

const [executablePath, address, network, runs, steps] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
try {
  const page = await browser.newPage();
  await page.goto(address);
  const found = await page.evaluate(async ([name, times, length]) => {
    const ort = await import("./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs");
    const { SpikingSession } = await import("./spiking_session.mjs");
    const { images } = await (await fetch("digits.json")).json();
    const image = Float32Array.from(images[0], (count) => count / 16);
    const session = await SpikingSession.create(ort, new Uint8Array(await (await fetch(name)).arrayBuffer()));
    await session.run(image, { steps: length });
    const milliseconds = [];
    let outputs;
    for (let run = 0; run < times; run++) {
      const start = performance.now();
      ({ outputs } = await session.run(image, { steps: length }));
      milliseconds.push(performance.now() - start);
    }
    return { milliseconds, spike_totals: Array.from(outputs.spike_totals.data, Number) };
  }, [network, Number(runs), Number(steps)]);
  console.log(JSON.stringify(found));
} finally {
  await browser.close();
}
