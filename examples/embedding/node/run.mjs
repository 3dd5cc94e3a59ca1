// Runs a converted network on images, and prints what it gives as JSON: node run.mjs net.snn.onnx images.npy --steps 64

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import * as ort from "onnxruntime-node";
import { SpikingSession } from "../web/spiking_session.mjs";
import { readNpy } from "./npy.mjs";

const USAGE = `usage: node run.mjs NET.snn.onnx IMAGES.npy [--steps T] [--seed S] [--first-sample N] [--every N] [--repeat R]

  IMAGES.npy      float32 [N, ...], on the scale of the training
  --steps T       default: those of the file
  --seed S        of the input spikes; default: that of the file
  --first-sample  global index of the first image (default 0)
  --every N       steps of a block, 1 to 64, of a file with the schedule stream (default 64)
  --repeat R      run R times more and add the milliseconds of each to what is printed
`;
const NUMBERS = ["steps", "seed", "first-sample", "every", "repeat"];

class UserError extends Error {}

function parsed() {
  const options = { help: { type: "boolean", short: "h" } };
  for (const name of NUMBERS) options[name] = { type: "string" };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.help) return null;
  if (positionals.length !== 2) throw new UserError(`a network and images are needed\n\n${USAGE}`);
  const numbers = {};
  for (const name of NUMBERS.filter((each) => values[each] !== undefined)) {
    if (!/^-?\d+$/.test(values[name])) throw new UserError(`--${name} is ${values[name]}, must be an integer`);
    const exact = BigInt(values[name]);
    numbers[name] = Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
  }
  const { "first-sample": firstSample, repeat = 0, ...choices } = numbers;
  if (repeat < 0) throw new UserError(`--repeat is ${repeat}, must be at least 0`);
  return { net: positionals[0], images: positionals[1], repeat, choices: { ...choices, firstSample } };
}

async function readImages(path, dims) {
  let found;
  try {
    found = readNpy(await readFile(path));
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${error.message}`);
  }
  const { shape, data } = found;
  if (shape.length !== dims.length + 1 || dims.some((dim, axis) => shape[axis + 1] !== dim)) {
    throw new UserError(`${path} has shape [${shape.join(", ")}], must be [N, ${dims.join(", ")}]`);
  }
  return data;
}

/** Rows of a tensor `[N, ...]` as nested lists of numbers; an int64 of a count is far below 2^53. */
function rows({ dims, data }) {
  const size = data.length / dims[0];
  return Array.from({ length: dims[0] }, (_, row) => Array.from(data.subarray(row * size, (row + 1) * size), Number));
}

async function main() {
  const chosen = parsed();
  if (chosen === null) return process.stdout.write(USAGE);
  const { net, images, repeat, choices } = chosen;
  const session = await SpikingSession.create(ort, await readFile(net));
  if (choices.every !== undefined && !session.streams) throw new UserError("--every is for files with the schedule stream");
  const pixels = await readImages(images, session.inputDims);
  const { steps, outputs } = await session.run(pixels, choices);
  const milliseconds = [];
  for (let run = 0; run < repeat; run++) {
    const start = performance.now();
    await session.run(pixels, choices);
    milliseconds.push(performance.now() - start);
  }
  const layers = session.layers.map((layer) => layer.name);
  const found = session.outputNames.map((name) => [name, rows(outputs[name])]);
  const result = { steps, layers, outputs: Object.fromEntries(found), ...(repeat ? { milliseconds } : {}) };
  console.log(JSON.stringify(result));
}

main().catch((error) => {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
});
