// Uses the page of examples/embedding/web as a visitor would, and prints as JSON what it showed:
// node drive.mjs CHROMIUM ADDRESS FOLDER, where FOLDER has the files to open; screenshots go there too.

import { join } from "node:path";
import { chromium } from "playwright-core";

const [executablePath, address, folder] = process.argv.slice(2);
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const SEVEN = [[[0.28, 0.12], [0.72, 0.12], [0.45, 0.88]], [[0.36, 0.5], [0.74, 0.5]]];
const ZERO = [Array.from({ length: 25 }, (_, n) => [0.5 - 0.25 * Math.sin((n * Math.PI) / 12), 0.5 - 0.4 * Math.cos((n * Math.PI) / 12)])];
const errors = [];

async function opened(browser, options = {}, path = "") {
  const page = await browser.newPage({ viewport: { width: 1220, height: 900 }, reducedMotion: "reduce", ...options });
  page.setDefaultTimeout(120_000); // machines that run tests may be busy
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(address + path);
  await page.waitForFunction(() => ["ready", "failed"].includes(document.body.dataset.state));
  return page;
}

async function draw(page, strokes) {
  const box = await page.locator("#pad").boundingBox();
  const place = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  for (const [first, ...rest] of strokes) {
    await page.mouse.move(...place(first));
    await page.mouse.down();
    for (const point of rest) await page.mouse.move(...place(point), { steps: 4 });
    await page.mouse.up();
  }
}

/** What the page shows when it has run. */
async function shown(page) {
  await page.waitForFunction(() => document.body.dataset.state === "done");
  const text = (id) => page.locator(`#${id}`).innerText();
  return {
    numbers: JSON.parse(await page.locator("#numbers").textContent()),
    digit: await text("digit"),
    sure: await text("sure"),
    when: await text("when"),
    rasters: await page.locator("figcaption").allInnerTexts(),
    rastered: await page.evaluate(() => [...document.querySelectorAll(".raster")].map((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((_, place) => place % 4 === 3).filter((alpha) => alpha > 0).length;
    })),
    looks: await page.evaluate(() => document.querySelector("#curve .line.first")?.getAttribute("points").split(" ").length ?? 0),
    overflow: await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
  };
}

async function problem(page, file) {
  await page.locator("#file").setInputFiles(join(folder, file));
  await page.locator("#problem").waitFor({ state: "visible" });
  return page.locator("#problem").innerText();
}

const browser = await chromium.launch({ executablePath, args: QUIET });
try {
  const results = {};
  const page = await opened(browser);
  await draw(page, SEVEN);
  results.seven = await shown(page);
  await page.screenshot({ path: join(folder, "light.png"), fullPage: true });
  await page.locator("#clear").click();
  results.cleared = await shown(page);
  await page.locator("#every").selectOption("16");
  await draw(page, ZERO);
  results.zero = await shown(page);
  await page.locator("#measure").click();
  await page.waitForFunction(() => document.getElementById("measured").innerText.includes("64 steps"));
  await page.waitForFunction(() => document.body.dataset.state === "done");
  results.measured = await page.locator("#measured").innerText();
  results.problems = {};
  for (const file of ["ann.onnx", "loop.snn.onnx", "text.onnx", "foreign.snn.onnx", "other.snn.onnx"]) {
    results.problems[file] = await problem(page, file);
  }
  await page.locator("#example").click(); // the network from before still runs
  results.example = await shown(page);
  await page.locator("#file").setInputFiles(join(folder, "plain.snn.onnx"));
  await page.getByText("no spike words").waitFor();
  await page.locator("#example").click();
  results.plain = await shown(page);

  const phone = await opened(browser, { viewport: { width: 375, height: 760 }, colorScheme: "dark", hasTouch: true, isMobile: true });
  await phone.locator("#pad").focus();
  for (const key of ["ArrowLeft", "ArrowLeft", "Space", ...Array(5).fill("ArrowRight"), ...Array(10).fill("ArrowDown")]) {
    await phone.keyboard.press(key);
  }
  await phone.waitForTimeout(50);
  results.keyboard = await shown(phone);
  await phone.screenshot({ path: join(folder, "narrow.png"), fullPage: true });
  results.taps = await phone.evaluate(() => getComputedStyle(document.getElementById("pad")).touchAction);
  await phone.setViewportSize({ width: 1220, height: 900 });
  await phone.screenshot({ path: join(folder, "dark.png"), fullPage: true });

  const missing = await opened(browser, {}, "empty/");
  results.missing = await missing.locator("#problem").innerText();
  console.log(JSON.stringify({ ...results, errors }));
} finally {
  await browser.close();
}
