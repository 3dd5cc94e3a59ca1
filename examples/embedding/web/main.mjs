// The page: strokes to pixels, pixels to the network, what the network gives to the screen.

import { drawChart } from "./chart.mjs";
import { pixelsOf, PIXELS, WHITE } from "./digit.mjs";
import { Pad } from "./pad.mjs";
import { Raster, spikeColour } from "./raster.mjs";
import { FileError, SpikingSession } from "./spiking_session.mjs";

const CLASSES = 10;
/** Milliseconds between two looks, so that spikes can be seen as they fire. */
const PACE = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 60;
const at = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(share > 0.9995 ? 0 : 1)} %`;

let ort;
let session;
let words = {}; // names of the outputs that are spike words, by layer
let rasters = [];
let digits = { images: [], labels: [] };
let latest = 0; // number of the newest run: older ones stop
let ended = Promise.resolve(); // of the run before: a session runs one at a time

function report(error) {
  at("problem").textContent = error.message ?? String(error);
  at("problem").hidden = false;
}

function setState(state, text = "") {
  document.body.dataset.state = state;
  at("status").textContent = text;
  at("status").hidden = text === "";
}

async function fetched(name, hint) {
  const answer = await fetch(name).catch(() => null);
  if (!answer?.ok) throw new Error(`${name} cannot be loaded: ${hint}`);
  return answer;
}

async function opened(bytes) {
  const found = await SpikingSession.create(ort, bytes);
  if (!found.streams) {
    throw new FileError("the page shows every few steps: convert the network with --schedule stream");
  }
  if (found.inputDims.join() !== "1,8,8") {
    throw new FileError(`the network takes samples of ${found.inputDims.join("×")}, this page draws 1×8×8`);
  }
  const shape = found.session.outputMetadata[0].shape;
  if (shape.length !== 2 || shape[1] !== CLASSES) throw new FileError(`the first output is no ${CLASSES} scores of digits`);
  return found;
}

function use(found) {
  session = found;
  words = JSON.parse(session.metadata.get("example.spike_words") ?? "{}");
  rasters = session.layers.filter((layer) => layer.name in words).map((layer) => new Raster(layer, session.options.steps));
  const none = document.createElement("p");
  none.textContent = "This file has no spike words among its outputs; prepare.py adds them.";
  at("rasters").replaceChildren(...(rasters.length ? rasters.map((raster) => raster.element) : [none]));
  drawChart(at("accuracy"), [], session.options.steps);
  at("measured").textContent = "";
  show(null, []);
}

function softmax(values) {
  const largest = Math.max(...values);
  const powers = Array.from(values, (value) => Math.exp(value - largest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

const best = (values) => values.indexOf(Math.max(...values));

/** The answer after a look, `null` where there is none yet; `history` has [steps, shares] of all looks. */
function show(result, history) {
  const shares = history.at(-1)?.[1] ?? new Array(CLASSES).fill(0);
  const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]);
  const fired = result !== null && new Set(shares).size > 1;
  at("digit").textContent = fired ? order[0] : "–";
  at("sure").textContent = fired ? `${percent(shares[order[0]])} sure` : result ? "No spike has arrived yet" : "Nothing drawn yet";
  at("when").textContent = result ? `after ${result.steps} of ${session.options.steps} steps` : "\u00a0";
  for (const [digit, item] of [...at("bars").children].entries()) {
    item.className = fired && digit === order[0] ? "best" : "";
    item.children[1].style.width = `${100 * shares[digit]}%`;
    item.children[2].textContent = fired ? percent(shares[digit]) : "";
  }
  const kinds = ["first", "second"];
  const series = order.map((digit, rank) => {
    return { label: String(digit), kind: kinds[rank] ?? "other", points: history.map(([steps, all]) => [steps, all[digit]]) };
  });
  drawChart(at("curve"), series, session.options.steps);
}

function showSpikes(result) {
  const totals = result.outputs.spike_totals.data;
  for (const raster of rasters) {
    raster.add(result.outputs[words[raster.layer.name]].data, result.steps - result.count, result.count);
    raster.describe(Number(totals[session.layers.indexOf(raster.layer)]), result.steps);
  }
  const operations = Array.from(result.outputs.synaptic_operations.data, Number).reduce((sum, value) => sum + value, 0);
  at("operations").textContent = `${operations.toLocaleString("en")} synaptic operations so far`;
}

function showNumbers(pixels, { steps, outputs }) {
  const names = session.outputNames.filter((name) => !Object.values(words).includes(name));
  const values = names.map((name) => [name, Array.from(outputs[name].data, Number)]);
  at("numbers").textContent = JSON.stringify({ image: Array.from(pixels), steps, ...Object.fromEntries(values) }, null, 1)
    .replace(/\n {2,}/g, " ").replace(/\n \]/g, " ]");
}

function showPixels(pixels) {
  const colour = spikeColour();
  const image = new ImageData(8, 8);
  pixels.forEach((count, place) => image.data.set([...colour, (255 * count) / WHITE], 4 * place));
  at("seen").getContext("2d").putImageData(image, 0, 0);
}

/** Runs `work(isLatest)` when the run before has stopped; only the newest of those that wait. */
function start(work) {
  const own = ++latest;
  const isLatest = () => own === latest;
  ended = ended.then(async () => {
    if (!isLatest()) return;
    at("problem").hidden = true;
    setState("running");
    try {
      await work(isLatest);
    } catch (error) {
      report(error);
    }
    setState(isLatest() ? "done" : "running");
  });
}

function read(pixels) {
  if (!session) return;
  showPixels(pixels);
  start(async (isLatest) => {
    const history = [];
    rasters.forEach((raster) => raster.clear());
    at("operations").textContent = "\u00a0";
    at("numbers").textContent = "{}";
    show(null, history);
    if (pixels.every((count) => count === 0)) return;
    const onBlock = async (result) => {
      if (!isLatest()) return false;
      history.push([result.steps, softmax(result.outputs[session.outputNames[0]].data)]);
      show(result, history);
      showSpikes(result);
      showNumbers(pixels, result);
      await new Promise((resolve) => setTimeout(resolve, PACE));
      return isLatest();
    };
    await session.run(Float32Array.from(pixels, (count) => count / WHITE), { every: Number(at("every").value), onBlock });
  });
}

function measure() {
  const images = Float32Array.from(digits.images.flat(), (count) => count / WHITE);
  start(async (isLatest) => {
    const points = [];
    const onBlock = async ({ steps, outputs }) => {
      const scores = Array.from(outputs[session.outputNames[0]].data);
      const right = digits.labels.filter((label, n) => best(scores.slice(n * CLASSES, (n + 1) * CLASSES)) === label).length;
      points.push([steps, right / digits.labels.length]);
      drawChart(at("accuracy"), [{ label: "", kind: "first", points }], session.options.steps);
      at("measured").textContent = `${right} of ${digits.labels.length} right after ${steps} steps`;
      await new Promise((resolve) => setTimeout(resolve, 0));
      return isLatest();
    };
    await session.run(images, { every: Number(at("every").value), onBlock });
  });
}

const pad = new Pad(at("pad"), (strokes) => read(pixelsOf(strokes)));
let example = 0;

at("clear").addEventListener("click", () => pad.clear());
at("measure").addEventListener("click", measure);
at("example").addEventListener("click", () => {
  pad.strokes = [];
  pad.draw();
  read(digits.images[example++ % digits.images.length]);
});
at("file").addEventListener("change", async () => {
  const [file] = at("file").files;
  if (!file) return;
  at("problem").hidden = true;
  try {
    const found = await opened(new Uint8Array(await file.arrayBuffer()));
    latest++;
    ended = ended.then(() => use(found));
    pad.clear();
  } catch (error) {
    report(new Error(`${file.name}: ${error.message}`));
  }
  at("file").value = "";
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  pad.draw();
  rasters.forEach((raster) => raster.draw());
});

async function load() {
  at("bars").replaceChildren(...Array.from({ length: CLASSES }, (_, digit) => {
    const item = document.createElement("li");
    item.append(...["i", "span", "b"].map((name) => document.createElement(name)));
    item.firstChild.textContent = digit;
    return item;
  }));
  const packages = "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
  ort = await import(packages).catch(() => {
    throw new Error("onnxruntime-web is not there: run `npm install` in the folder of this page");
  });
  ort.env.wasm.numThreads = 1; // more need headers that most servers do not send
  const hint = "run `python prepare.py` in the folder of this page";
  digits = await (await fetched("digits.json", hint)).json();
  use(await opened(new Uint8Array(await (await fetched("network.snn.onnx", hint)).arrayBuffer())));
  at("example").disabled = at("measure").disabled = digits.images.some((image) => image.length !== PIXELS);
  setState("ready");
}

load().catch((error) => {
  setState("failed");
  report(error);
});
