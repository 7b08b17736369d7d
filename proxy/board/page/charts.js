// Charts on a canvas, in the colours of the style sheet. Each takes points of the history API and returns a sentence for those who can't see it.

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const edge = { left: 54, right: 6, top: 8, bottom: 20 };

// begin sizes the canvas for its pixels and gives the frame to draw in.
function begin(canvas) {
  const box = canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
  const w = Math.max(1, Math.round(box.width * scale)), h = Math.max(1, Math.round(box.height * scale));
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const g = canvas.getContext('2d');
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, box.width, box.height);
  g.font = '11px system-ui, "Liberation Sans", sans-serif';
  return { g, x0: edge.left, x1: box.width - edge.right, y0: edge.top, y1: box.height - edge.bottom };
}

const timeText = (ms, seconds) => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: seconds ? '2-digit' : undefined, hour12: false });

// axes draws the lines of y and the times of x.
function axes(f, span, marks, label) {
  const { g, x0, x1, y0, y1 } = f;
  g.lineWidth = 1; g.textBaseline = 'middle'; g.textAlign = 'right';
  for (const m of marks) {
    const y = Math.round(f.y(m)) + .5;
    g.strokeStyle = css('--faint'); g.beginPath(); g.moveTo(x0, y); g.lineTo(x1, y); g.stroke();
    g.fillStyle = css('--mute'); g.fillText(label(m), x0 - 8, y);
  }
  g.textBaseline = 'alphabetic';
  g.textAlign = 'center'; g.fillStyle = css('--mute');
  const step = 60e3 * ([1, 2, 5, 10, 15, 30].find((m) => (span.to - span.from) / (60e3 * m) * 64 <= x1 - x0) || 60);
  for (let t = Math.ceil(span.from / step) * step; t <= span.to; t += step) {
    const x = Math.min(f.x(t), x1 - 14);
    if (x >= x0 + 14) g.fillText(timeText(t), x, y1 + 15);
  }
}

function frame(canvas, span, top) {
  const f = begin(canvas);
  f.x = (t) => f.x0 + (f.x1 - f.x0) * (t - span.from) / (span.to - span.from);
  f.y = (v) => f.y1 - (f.y1 - f.y0) * Math.min(1, v / top);
  return f;
}

// ceiling is a round number above v, with the steps to it.
function ceiling(v) {
  if (!(v > 0)) return { top: 1, marks: [0, 1] };
  const power = 10 ** Math.floor(Math.log10(v));
  const step = [.25, .5, 1, 2, 2.5, 5].map((s) => s * power).find((s) => v / s <= 4) || power * 5;
  const n = Math.ceil(v / step - 1e-9);
  return { top: n * step, marks: Array.from({ length: n + 1 }, (_, i) => i * step) };
}

export const compact = (v) => v >= 1e9 ? trim(v / 1e9) + 'G' : v >= 1e6 ? trim(v / 1e6) + 'M' : v >= 1e4 ? trim(v / 1e3) + 'k' : v >= 100 || v === Math.round(v) ? Math.round(v).toLocaleString('en') : trim(v);
const trim = (v) => v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1).replace(/\.0$/, '') : v.toFixed(2).replace(/\.?0+$/, '');

// runs splits points where the gateway was away: nothing is drawn over a gap.
function runs(points, value) {
  const out = [];
  let run = null, last = null;
  for (const p of points) {
    const v = value(p);
    if (v === null || (last && p.at_ms - last.at_ms > 2500 * Math.max(last.step_s, p.step_s))) run = null;
    if (v !== null) { if (!run) out.push(run = []); run.push([p.at_ms, v]); }
    last = p;
  }
  return out;
}

function line(f, points, value, colour, width = 1.6) {
  f.g.strokeStyle = colour; f.g.lineWidth = width; f.g.lineJoin = 'round';
  for (const run of runs(points, value)) {
    f.g.beginPath();
    if (run.length === 1) f.g.arc(f.x(run[0][0]), f.y(run[0][1]), 1.2, 0, 7); else run.forEach(([t, v], i) => f.g[i ? 'lineTo' : 'moveTo'](f.x(t), f.y(v)));
    f.g.stroke();
  }
}

function area(f, points, low, high, fill) {
  f.g.fillStyle = fill;
  for (const run of runs(points, (p) => p)) {
    f.g.beginPath();
    run.forEach(([t, p], i) => f.g[i ? 'lineTo' : 'moveTo'](f.x(t), f.y(high(p))));
    for (const [t, p] of run.toReversed()) f.g.lineTo(f.x(t), f.y(low(p)));
    f.g.fill();
  }
}

function cursor(f, p) {
  if (!p) return;
  f.g.strokeStyle = css('--mute'); f.g.lineWidth = 1;
  const x = Math.round(f.x(p.at_ms)) + .5;
  f.g.beginPath(); f.g.moveTo(x, f.y0); f.g.lineTo(x, f.y1); f.g.stroke();
}

function nothing(f, points) {
  if (points.some((p) => p.requests)) return;
  f.g.fillStyle = css('--mute'); f.g.textAlign = 'center'; f.g.textBaseline = 'middle'; f.g.font = '13px system-ui, "Liberation Sans", sans-serif';
  f.g.fillText('No requests in this time', (f.x0 + f.x1) / 2, (f.y0 + f.y1) / 2);
}

export function traffic(canvas, points, span, at) {
  const cached = (p) => p.hits / p.step_s, all = (p) => p.requests / p.step_s;
  const most = Math.max(0, ...points.map(all)), { top, marks } = ceiling(most);
  const f = frame(canvas, span, top);
  axes(f, span, marks, compact);
  area(f, points, () => 0, cached, css('--cache-fill'));
  area(f, points, cached, all, css('--origin-fill'));
  line(f, points, all, css('--origin'), 1);
  line(f, points, cached, css('--cache'));
  nothing(f, points); cursor(f, at);
  return `Requests per second: ${compact(points.length ? all(points.at(-1)) : 0)} now, at most ${compact(most)} in the time shown.`;
}

export function ratio(canvas, points, span, at) {
  const byRequests = (p) => p.routed ? 100 * p.hits / p.routed : null, byBytes = (p) => p.bytes_out ? 100 * p.bytes_from_cache / p.bytes_out : null;
  const f = frame(canvas, span, 100);
  axes(f, span, [0, 25, 50, 75, 100], (v) => v + ' %');
  line(f, points, byBytes, css('--bytes'));
  line(f, points, byRequests, css('--cache'));
  nothing(f, points); cursor(f, at);
  const last = points.map(byRequests).filter((v) => v !== null).at(-1);
  return last === undefined ? 'Hit ratio: no requests in the time shown.' : `Hit ratio by requests: ${last.toFixed(1)} percent now.`;
}

// The rows of the heat map are octaves of time.
const lowest = 2 ** -4, rows = 19; // 1/16 ms to about half a minute
const rowOf = (ms) => Math.max(0, Math.min(rows - 1, Math.ceil(Math.log2(ms / lowest) - 1e-9)));
export const durationText = (ms) => ms >= 9950 ? (ms / 1000).toFixed(0) + ' s' : ms >= 1000 ? (ms / 1000).toFixed(1) + ' s' : ms >= 10 ? ms.toFixed(0) + ' ms' : ms >= 1 ? ms.toFixed(1) + ' ms' : (ms * 1000).toFixed(0) + ' µs';

export function heat(canvas, points, span, bounds, at) {
  const f = begin(canvas);
  const columns = Math.max(20, Math.min(150, Math.floor((f.x1 - f.x0) / 8)));
  f.x = (t) => f.x0 + (f.x1 - f.x0) * (t - span.from) / (span.to - span.from);
  f.y = (ms) => f.y1 - (f.y1 - f.y0) * (Math.log2(ms / lowest) + 1) / rows;
  axes(f, span, [.1, 1, 10, 100, 1000, 10000], (v) => v < 1 ? v * 1000 + ' µs' : v < 1000 ? v + ' ms' : v / 1000 + ' s');
  const cells = new Map();
  let most = 0;
  for (const p of points) {
    const column = Math.floor((p.at_ms - span.from - 1) / (span.to - span.from) * columns);
    if (column < 0 || column >= columns) continue;
    for (const [bucket, n] of p.latency) {
      const cell = column * rows + rowOf(bounds[bucket] ?? bounds.at(-1) * 2), sum = (cells.get(cell) || 0) + n;
      cells.set(cell, sum); most = Math.max(most, sum);
    }
  }
  const w = (f.x1 - f.x0) / columns, h = (f.y1 - f.y0) / rows, colour = css('--heat');
  for (const [cell, n] of cells) { // one request shows, however many there are elsewhere
    f.g.fillStyle = `rgba(${colour}, ${.16 + .84 * Math.log1p(n) / Math.log1p(most)})`;
    f.g.fillRect(f.x0 + Math.floor(cell / rows) * w, f.y1 - (cell % rows + 1) * h, Math.max(1, w - 1), h - 1);
  }
  nothing(f, points); cursor(f, at);
  const last = points.filter((p) => p.p50 !== null).at(-1);
  return last ? `Latency: median ${durationText(last.p50)}, 99th percentile ${durationText(last.p99)}.` : 'Latency: no requests in the time shown.';
}

// nearest is the point under a pointer.
export function nearest(canvas, points, span, clientX) {
  const box = canvas.getBoundingClientRect();
  const t = span.from + (span.to - span.from) * (clientX - box.left - edge.left) / (box.width - edge.left - edge.right);
  let best = null;
  for (const p of points) if (!best || Math.abs(p.at_ms - t) < Math.abs(best.at_ms - t)) best = p;
  return best && Math.abs(best.at_ms - t) <= 1500 * best.step_s ? best : null;
}
export { timeText };
