// Strokes become 8x8 pixels as those of the training data did: a bitmap of 32x32, whose pixels are counted in blocks of 4x4.
// The digits of the data set fill their bitmap, so strokes are moved and scaled to fill it too.

const BITMAP = 32;
const BLOCK = 4;
const SIDE = BITMAP / BLOCK;
/** Half the width of a stroke, in pixels of the bitmap: digits then have as much ink as those of the data set. */
const RADIUS = 2.6;
/** What is smaller, in sizes of the drawing area, is a dot and is not blown up to fill the bitmap. */
const SMALLEST = 0.2;

export const WHITE = BLOCK * BLOCK;
export const PIXELS = SIDE * SIDE;

/**
 * @param {number[][][]} strokes points [x, y], each from 0 to 1 of the drawing area
 * @returns {Uint8Array} counts 0..16, row by row; all 0 where nothing is drawn
 */
export function pixelsOf(strokes) {
  const counts = new Uint8Array(PIXELS);
  const points = fitted(strokes);
  for (let y = 0; y < BITMAP; y++) {
    for (let x = 0; x < BITMAP; x++) {
      if (points.some((stroke) => touches(stroke, x + 0.5, y + 0.5))) {
        counts[Math.floor(y / BLOCK) * SIDE + Math.floor(x / BLOCK)]++;
      }
    }
  }
  return counts;
}

/** Strokes in pixels of the bitmap, centred, as large as fits. */
function fitted(strokes) {
  const [xs, ys] = [0, 1].map((axis) => strokes.flat().map((point) => point[axis]));
  if (xs.length === 0) return [];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = (BITMAP - 2 * RADIUS) / Math.max(right - left, bottom - top, SMALLEST);
  const middle = [(left + right) / 2, (top + bottom) / 2];
  const place = (point) => point.map((value, axis) => (value - middle[axis]) * scale + BITMAP / 2);
  return strokes.map((stroke) => stroke.map(place));
}

function touches(stroke, x, y) {
  return stroke.some((to, index) => squaredDistance(stroke[Math.max(0, index - 1)], to, x, y) <= RADIUS * RADIUS);
}

/** From a point to the line between two others. */
function squaredDistance([fromX, fromY], [toX, toY], x, y) {
  const [dx, dy] = [toX - fromX, toY - fromY];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - fromX) * dx + (y - fromY) * dy) / length));
  return (x - fromX - along * dx) ** 2 + (y - fromY - along * dy) ** 2;
}
