// A converted network in onnxruntime for JavaScript (onnxruntime-node or onnxruntime-web), which runs the functions inside
// the file: the same spikes as the native operators give. All schedules: `loop` and `unrolled` run at once; of `stream`
// this host carries the states from block to block, and can say after each what the network answers.

import { FileError, readConvertedFile } from "./converted_file.mjs";

export { FileError };

const LONGEST_BLOCK = 64;
const CONTROLS = ["steps", "seed", "first_sample"];
const BLOCK_CONTROLS = ["seed", "first_sample", "first_step", "count"];
const ARRAYS = { int32: Int32Array, int64: BigInt64Array };

export class SpikingSession {
  /**
   * @param ort the module onnxruntime-node or onnxruntime-web
   * @param {Uint8Array} bytes a `.snn.onnx` file
   * @throws {FileError} the file is not one of snnc, or wants inputs that this host does not know
   */
  static async create(ort, bytes) {
    const file = readConvertedFile(bytes);
    let session;
    try {
      // Level 3: onnxruntime warns of every optional input of a file otherwise.
      session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
    } catch (error) {
      throw new FileError(`onnxruntime cannot load this file: ${error.message ?? error}`);
    }
    return new SpikingSession(ort, session, file);
  }

  constructor(ort, session, { options, layers, states, metadata }) {
    Object.assign(this, { ort, session, options, states, metadata });
    this.streams = options.schedule === "stream";
    /** Layers in the order of the columns of `spike_totals`. */
    this.layers = layers.filter((layer) => layer.kind !== "readout");
    [this.inputName] = session.inputNames;
    const known = this.streams ? [...BLOCK_CONTROLS, ...states.map((state) => state.name)] : CONTROLS;
    const unknown = session.inputNames.slice(1).filter((name) => !known.includes(name));
    if (unknown.length > 0) throw new FileError(`the file has inputs that snnc does not write: ${unknown.join(", ")}`);
    const carried = new Set(states.filter((state) => !state.output).map((state) => state.next));
    /** Names of the outputs, without the potentials that are carried on: those of the ANN first, then the counts. */
    this.outputNames = session.outputNames.filter((name) => !carried.has(name));
    /** Shape of one sample. */
    this.inputDims = session.inputMetadata[0].shape.slice(1);
    this.size = this.inputDims.reduce((product, dim) => product * dim, 1);
  }

  /**
   * Simulate images for `steps` steps.
   *
   * @param {Float32Array} images `[N, ...inputDims]`, on the scale of the training, finite
   * @param {object} choices `steps` and `seed` (default: those of the file), `firstSample` (0), and of the schedule `stream`
   *   `every`, the steps of a block (64), and `onBlock(result)`, called after each and awaited; false from it ends the run
   * @returns {Promise<{steps: number, outputs: object}>} tensors of onnxruntime by name: the outputs of the ANN,
   *   `spike_totals` and `synaptic_operations` int64 `[N, layers]`
   * @throws {RangeError | TypeError} a choice that the file does not leave, or images that do not fit
   */
  async run(images, { steps, seed, firstSample = 0, every = LONGEST_BLOCK, onBlock } = {}) {
    const samples = this.#samples(images);
    steps = wholeNumber("steps", steps ?? this.options.steps, (this.options.delay ?? 0) + 1, this.options.max_steps);
    seed = wholeNumber("seed", seed ?? this.options.seed, -(2n ** 63n), 2n ** 63n - 1n);
    firstSample = wholeNumber("firstSample", firstSample, 0, 2 ** 53 - 1);
    every = wholeNumber("every", every, 1, LONGEST_BLOCK);
    const image = new this.ort.Tensor("float32", images, [samples, ...this.inputDims]);
    if (this.streams) return this.#runBlocks(image, { steps, seed, firstSample, every, onBlock });
    return { steps, outputs: await this.session.run(this.#feeds(image, { steps, seed, first_sample: firstSample })) };
  }

  /**
   * Inputs of a run of the schedules `loop` and `unrolled`.
   *
   * onnxruntime-node ignores an input that is not among `inputNames` without a word, and optional ones are not: the file
   * would run its own steps. What cannot be fed must be what the file does anyway.
   */
  #feeds(image, controls) {
    const own = { steps: this.options.steps, seed: this.options.seed, first_sample: 0 };
    const feeds = { [this.inputName]: image };
    for (const [name, value] of Object.entries(controls)) {
      if (this.session.inputNames.includes(name)) {
        feeds[name] = this.#scalar(value);
      } else if (BigInt(value) !== BigInt(own[name])) {
        throw new RangeError(`${name} is ${own[name]} in this file and cannot be chosen here: ${this.#whyFixed(name)}`);
      }
    }
    return feeds;
  }

  #whyFixed(name) {
    if (name === "steps" && this.options.schedule === "unrolled") return "it was converted with --schedule unrolled";
    if (this.options.controls === "fixed") return "it was converted with --controls fixed";
    return "JavaScript cannot feed optional inputs; convert the network with --controls required";
  }

  async #runBlocks(image, { steps, seed, firstSample, every, onBlock }) {
    const [samples] = image.dims;
    const batch = (state, data) => new this.ort.Tensor(state.dtype, data, [samples, ...state.dims]);
    let states = Object.fromEntries(this.states.map((state) => [state.name, batch(state, initial(state, samples))]));
    for (let first = 0; ; first += every) {
      const count = Math.min(every, steps - first);
      const controls = { seed, first_sample: firstSample, first_step: first, count };
      const scalars = Object.entries(controls).map(([name, value]) => [name, this.#scalar(value)]);
      const outputs = await this.session.run({ [this.inputName]: image, ...Object.fromEntries(scalars), ...states });
      const result = { steps: first + count, count, outputs };
      const goOn = await onBlock?.(result);
      if (first + count >= steps || goOn === false) return result;
      states = Object.fromEntries(this.states.map((state) => [state.name, outputs[state.next]]));
    }
  }

  #scalar(value) {
    return new this.ort.Tensor("int64", BigInt64Array.of(BigInt(value)), []);
  }

  #samples(images) {
    if (!(images instanceof Float32Array)) throw new TypeError("images must be a Float32Array");
    if (images.length === 0 || images.length % this.size !== 0) {
      throw new RangeError(`${images.length} values are no samples of ${this.inputDims.join("x")}`);
    }
    const first = images.findIndex((value) => !Number.isFinite(value));
    if (first >= 0) throw new RangeError(`sample ${Math.floor(first / this.size)} has NaN or infinite values`);
    return images.length / this.size;
  }
}

/** The values of a state before the first step; `initial` of the file is one number, or an array that broadcasts. */
function initial(state, samples) {
  const size = state.dims.reduce((product, dim) => product * dim, 1);
  const values = broadcast(state.initial, state.dims);
  const one = ARRAYS[state.dtype].from(values, state.dtype === "int64" ? BigInt : Number);
  const all = new ARRAYS[state.dtype](samples * size);
  for (let sample = 0; sample < samples; sample++) all.set(one, sample * size);
  return all;
}

/** Nested lists spread over `dims`, flat. */
function broadcast(value, dims) {
  if (dims.length === 0) return [Array.isArray(value) ? broadcast(value[0], dims)[0] : value];
  if (!Array.isArray(value)) return new Array(dims.reduce((product, dim) => product * dim, 1)).fill(value);
  if (depth(value) < dims.length) return repeated(broadcast(value, dims.slice(1)), dims[0]);
  const parts = value.map((part) => broadcast(part, dims.slice(1)));
  return parts.length === dims[0] ? parts.flat() : repeated(parts[0], dims[0]);
}

function depth(value) {
  return Array.isArray(value) ? 1 + depth(value[0]) : 0;
}

function repeated(values, times) {
  return Array.from({ length: times }, () => values).flat();
}

function wholeNumber(name, value, least, most) {
  if (typeof value !== "bigint" && !Number.isSafeInteger(value)) throw new TypeError(`${name} is ${value}, must be an integer`);
  if (value < least || value > most) throw new RangeError(`${name} is ${value}, must be from ${least} to ${most}`);
  return value;
}
