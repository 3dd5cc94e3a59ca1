// What a `.snn.onnx` file says of itself. onnxruntime gives JavaScript no access to the metadata of a model, so they are
// read from the file: a ModelProto, of which only the fields `metadata_props` (14) matter here. docs/format.md lists the keys.

const FORMAT_VERSION = 2;
const METADATA_PROPS = 14;
const VARINT = 0;
const EIGHT_BYTES = 1;
const LENGTH_DELIMITED = 2;
const FOUR_BYTES = 5;

/** A file that this host cannot run; the message is for the user. */
export class FileError extends Error {}

/** Fields of a protobuf message, `{number, bytes}`; bytes is null for numbers. Throws RangeError where it is damaged. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let power = 0; power < 70; power += 7) {
      if (at >= bytes.length) throw new RangeError("the message ends within a number");
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** power;
      if (byte < 0x80) return value;
    }
    throw new RangeError("a number has more than ten bytes");
  };
  while (at < bytes.length) {
    const key = varint();
    const [number, kind] = [Math.floor(key / 8), key % 8];
    let length = { [EIGHT_BYTES]: 8, [FOUR_BYTES]: 4 }[kind];
    if (kind === VARINT) {
      varint();
      length = 0;
    } else if (kind === LENGTH_DELIMITED) {
      length = varint();
    }
    if (number === 0 || length === undefined || at + length > bytes.length) throw new RangeError("no protobuf message");
    yield { number, bytes: kind === LENGTH_DELIMITED ? bytes.subarray(at, at + length) : null };
    at += length;
  }
}

function entry(bytes) {
  const [key, value] = [1, 2].map((wanted) => {
    const found = [...fields(bytes)].find((field) => field.number === wanted);
    return new TextDecoder().decode(found?.bytes ?? new Uint8Array());
  });
  return [key, value];
}

/**
 * Options, layers and states of a converted network.
 * @param {Uint8Array} bytes the whole file
 * @returns {{options: object, layers: object[], states: object[], metadata: Map<string, string>}}
 * @throws {FileError} it is no ONNX file, none of snnc, or of a newer format
 */
export function readConvertedFile(bytes) {
  let metadata;
  try {
    const found = [...fields(bytes)].filter((field) => field.number === METADATA_PROPS && field.bytes !== null);
    metadata = new Map(found.map((field) => entry(field.bytes)));
  } catch (error) {
    if (error instanceof RangeError) throw new FileError("this is no ONNX file, or it is damaged");
    throw error;
  }
  const version = metadata.get("snnc.format_version");
  if (version === undefined) throw new FileError("this is no network converted by snnc: run `snnc convert` on it first");
  if (!(Number(version) <= FORMAT_VERSION)) {
    throw new FileError(`the file has format ${version}, this program reads up to ${FORMAT_VERSION}`);
  }
  try {
    const [options, layers, states] = ["options", "layers", "states"].map((key) => JSON.parse(metadata.get(`snnc.${key}`)));
    return { options, layers, states, metadata };
  } catch {
    throw new FileError("the metadata of this file are damaged");
  }
}
