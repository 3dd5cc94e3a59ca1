// Images from a `.npy` file of numpy, float32 in C order.

const MAGIC = "\x93NUMPY";

/**
 * @param {Uint8Array} bytes the whole file
 * @returns {{shape: number[], data: Float32Array}}
 * @throws {RangeError} it is something else
 */
export function readNpy(bytes) {
  if (bytes.length < 12 || String.fromCharCode(...bytes.subarray(0, 6)) !== MAGIC) throw new RangeError("it is no .npy file");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const long = bytes[6] > 1;
  const start = long ? 12 : 10;
  const end = start + (long ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder().decode(bytes.subarray(start, end));
  const dtype = header.match(/'descr': '([^']*)'/)?.[1];
  const shape = header.match(/'shape': \(([\d, ]*)\)/)?.[1];
  if (dtype === undefined || shape === undefined) throw new RangeError("its header is damaged");
  if (dtype !== "<f4" || header.includes("'fortran_order': True")) {
    const found = header.includes("True") ? `${dtype} in Fortran order` : dtype;
    const hint = "np.save(file, np.ascontiguousarray(images, np.float32))";
    throw new RangeError(`it has dtype ${found}, must be float32 in C order: ${hint}`);
  }
  const dims = shape.split(",").filter((dim) => dim.trim()).map(Number);
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (bytes.length - end !== 4 * size) throw new RangeError(`it has ${bytes.length - end} bytes of values, its shape needs ${4 * size}`);
  return { shape: dims, data: new Float32Array(Uint8Array.from(bytes.subarray(end)).buffer) };
}
