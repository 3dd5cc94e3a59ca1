// Spikes of a layer: steps from left to right, neurons from top to bottom. Where a layer has more neurons than rows, a row
// stands for several, and is as strong as the share of them that fires.

const MOST_ROWS = 64;

/** Red, green and blue of spikes, as the style sheet has them for light or dark. */
export function spikeColour() {
  return getComputedStyle(document.documentElement).getPropertyValue("--spike").trim().split(" ").map(Number);
}

export class Raster {
  constructor(layer, steps) {
    this.layer = layer;
    this.steps = steps;
    this.perRow = Math.ceil(layer.neurons / MOST_ROWS);
    this.rows = Math.ceil(layer.neurons / this.perRow);
    this.element = document.createElement("figure");
    this.caption = document.createElement("figcaption");
    this.canvas = document.createElement("canvas");
    Object.assign(this.canvas, { width: steps, height: this.rows, className: "raster" });
    this.canvas.setAttribute("role", "img");
    this.element.append(this.caption, this.canvas);
    this.clear();
  }

  clear() {
    this.fired = new Uint16Array(this.steps * this.rows);
    this.describe(0, 0);
    this.draw();
  }

  /** Add `count` steps from `first` on. `words` are 64 bits for each neuron, and for each sign where spikes have signs. */
  add(words, first, count) {
    const halves = new Uint32Array(words.buffer, words.byteOffset, 2 * words.length);
    for (let index = 0; index < words.length; index++) {
      const row = Math.floor((index % this.layer.neurons) / this.perRow);
      for (let step = 0; step < count; step++) {
        this.fired[row * this.steps + first + step] += (halves[2 * index + (step >> 5)] >>> (step & 31)) & 1;
      }
    }
    this.draw();
  }

  describe(spikes, steps) {
    const { neurons, name, kind } = this.layer;
    const rate = steps > 0 ? (spikes / neurons / steps).toFixed(3) : "–";
    const title = document.createElement("b");
    title.textContent = kind === "input" ? `Input ${name}` : `Layer ${name}`;
    const numbers = document.createElement("span");
    numbers.textContent = `${neurons.toLocaleString("en")} neurons · ${spikes.toLocaleString("en")} spikes · rate ${rate}`;
    this.caption.replaceChildren(title, numbers);
    this.canvas.setAttribute("aria-label", `${title.textContent}: ${numbers.textContent}`);
  }

  draw() {
    const colour = spikeColour();
    const image = new ImageData(this.steps, this.rows);
    this.fired.forEach((spikes, place) => {
      if (spikes > 0) image.data.set([...colour, 255 * Math.min(1, 0.2 + 0.8 * Math.sqrt(spikes / this.perRow))], 4 * place);
    });
    this.canvas.getContext("2d").putImageData(image, 0, 0);
  }
}
