// The drawing area: mouse, pen, finger and keyboard.

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEY_STEP = 1 / 16;
const LINE_WIDTH = 0.085;
const inside = (value) => Math.min(1, Math.max(0, value));

export class Pad {
  #drawing = null; // id of the pointer that draws
  #pen = { at: [0.5, 0.25], down: false }; // of the keyboard

  /** @param onChange called with the strokes when a stroke ends and when all are cleared */
  constructor(canvas, onChange) {
    Object.assign(this, { canvas, onChange, strokes: [] });
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#end(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => this.draw());
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  clear() {
    this.strokes = [];
    this.#drawing = null;
    this.#pen.down = false;
    this.draw();
    this.onChange(this.strokes);
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const size = Math.max(1, Math.round(this.canvas.clientWidth * devicePixelRatio));
    this.canvas.width = this.canvas.height = size;
    const style = getComputedStyle(this.canvas);
    Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: LINE_WIDTH * size, strokeStyle: style.color });
    for (const stroke of this.strokes) {
      context.beginPath();
      stroke.forEach(([x, y]) => context.lineTo(x * size, y * size));
      context.lineTo(stroke.at(-1)[0] * size + 0.01, stroke.at(-1)[1] * size);
      context.stroke();
    }
    if (this.canvas.matches(":focus-visible")) this.#drawPen(context, size, style.accentColor);
  }

  #drawPen(context, size, colour) {
    const [x, y] = this.#pen.at.map((value) => value * size);
    Object.assign(context, { lineWidth: size / 100, strokeStyle: colour, fillStyle: colour });
    context.beginPath();
    context.arc(x, y, size * 0.03, 0, 2 * Math.PI);
    if (this.#pen.down) context.fill();
    else context.stroke();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
  }

  #begin(event) {
    if (this.#drawing !== null || event.button !== 0) return;
    this.#drawing = event.pointerId;
    this.#pen.down = false;
    this.canvas.setPointerCapture(event.pointerId);
    this.strokes.push([this.#place(event)]);
    this.draw();
  }

  #move(event) {
    if (event.pointerId !== this.#drawing) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    this.strokes.at(-1).push(...(passed.length ? passed : [event]).map((each) => this.#place(each)));
    this.draw();
  }

  #end(event) {
    if (event.pointerId !== this.#drawing) return;
    this.#drawing = null;
    this.onChange(this.strokes);
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " ") this.#togglePen();
    else if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else if (event.key in KEYS) this.#movePen(KEYS[event.key]);
    else return;
    event.preventDefault();
    this.draw();
  }

  #togglePen() {
    this.#pen.down = !this.#pen.down;
    if (this.#pen.down) this.strokes.push([[...this.#pen.at]]);
    this.onChange(this.strokes);
  }

  #movePen(direction) {
    this.#pen.at = this.#pen.at.map((value, axis) => inside(value + direction[axis] * KEY_STEP));
    if (!this.#pen.down) return;
    this.strokes.at(-1).push([...this.#pen.at]);
    this.onChange(this.strokes);
  }
}
