// The page asks the admin API of the gateway that served it, and nothing else.
import { traffic, ratio, heat, nearest, compact, durationText, timeText } from './charts.js';

const $ = (id) => document.getElementById(id);
const make = (tag, attrs = {}, ...children) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs)) if (k === 'text') e.textContent = v; else if (k === 'class') e.className = v; else if (v !== undefined) e.setAttribute(k, v);
  e.append(...children);
  return e;
};
const set = (id, text) => { const e = $(id); if (e.textContent !== text) e.textContent = text; };
const percent = (r, digits = 1) => r === null || r === undefined ? '–' : (100 * r).toFixed(r >= .99995 ? 0 : digits);
const bytes = (n) => { for (const u of ['B', 'kB', 'MB', 'GB', 'TB']) { if (n < 1000 || u === 'TB') return (u === 'B' || n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2)) + ' ' + u; n /= 1000; } };
const binary = (n) => { for (const u of ['B', 'KiB', 'MiB', 'GiB', 'TiB']) { if (n < 1024 || u === 'TiB') return (u === 'B' || n >= 100 ? n.toFixed(0) : n.toFixed(1)) + ' ' + u; n /= 1024; } };
const since = (s) => s < 60 ? `${Math.floor(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min` : `${Math.floor(s / 86400)} days`;

const state = { token: sessionStorage.getItem('penstock-token') || '', window: '5m', route: '', points: [], bounds: [], stats: null, sort: 'per_second', down: true, hover: null, run: 0, seen: 0 };

class Locked extends Error {}
async function api(path, options = {}) {
  const headers = { ...options.headers };
  if (state.token) headers.Authorization = 'Bearer ' + state.token;
  const r = await fetch(path, { ...options, headers, cache: 'no-store', credentials: 'omit', redirect: 'error' });
  if (r.status === 401) throw new Locked();
  return r;
}
async function json(path) {
  const r = await api(path);
  if (!r.ok) throw new Error(`${path}: ${r.status}`);
  return r.json();
}

// State of the connection.
function mark(kind, text) { $('state').className = 'state ' + kind; set('state-text', text); }
function lost() {
  mark('bad', 'Unreachable');
  document.body.classList.add('lost');
  $('banner').hidden = false;
  set('banner', 'The gateway does not answer. ' + (state.seen ? `The figures are from ${timeText(state.seen, true)}. ` : '') + 'Trying again.');
}
function found(stats) {
  state.seen = Date.now();
  document.body.classList.remove('lost');
  $('banner').hidden = true;
  const degraded = stats.tiers.some((t) => t.state !== 'up');
  mark(!stats.ready ? 'warn' : degraded ? 'warn' : 'good', !stats.ready ? 'Not ready' : degraded ? 'Degraded' : 'Ready');
}
function locked(message) {
  document.body.classList.add('locked');
  mark('warn', 'Locked');
  const fresh = $('login').hidden;
  $('login').hidden = false; $('logout').hidden = true; $('banner').hidden = true;
  set('login-error', message);
  if (fresh || message) $('token').focus();
}
function unlocked() {
  document.body.classList.remove('locked');
  $('login').hidden = true; $('logout').hidden = !state.token;
}

// The stream: figures each second, for as long as the page is there.
async function follow(run) {
  for (let pause = 500; run === state.run; pause = Math.min(2 * pause, 5000)) {
    try {
      await load();
      const r = await api('/api/stats/stream?window=10s');
      if (!r.ok) throw new Error(r.status);
      unlocked();
      const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ''; ;) {
        const { value, done } = await within(reader, 8000);
        if (done || run !== state.run) { reader.cancel().catch(() => {}); break; }
        text += value;
        for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) event(text.slice(0, end));
        pause = 500;
      }
    } catch (err) {
      if (run !== state.run) return;
      if (err instanceof Locked) { locked(state.token ? 'The gateway does not know this token.' : ''); return; }
      lost();
    }
    await new Promise((ok) => setTimeout(ok, pause));
  }
}
function within(reader, ms) {
  let timer;
  return Promise.race([reader.read(), new Promise((_, no) => { timer = setTimeout(() => { reader.cancel().catch(() => {}); no(new Error('silence')); }, ms); })]).finally(() => clearTimeout(timer));
}
function event(text) {
  const data = text.split('\n').find((l) => l.startsWith('data: '));
  if (!data) return;
  const stats = JSON.parse(data.slice(6));
  state.stats = stats;
  found(stats);
  if (stats.last && state.window === '5m' && !state.route && stats.last.at_ms > (state.points.at(-1)?.at_ms ?? 0)) {
    state.points.push(stats.last);
    while (state.points.length > 300) state.points.shift();
  }
  render();
}

// What is asked for from time to time.
async function history() {
  const s = await json(`/api/stats/history?window=${state.window}` + (state.route ? '&route=' + encodeURIComponent(state.route) : ''));
  state.points = s.points; state.bounds = s.bounds;
}
async function load() {
  await history();
  const [cost, slow] = await Promise.all([json('/api/cost'), json('/api/slow')]);
  renderCost(cost); renderSlow(slow);
}
let busy = false;
setInterval(async () => {
  if (busy || document.hidden || document.body.classList.contains('lost') || document.body.classList.contains('locked')) return;
  busy = true;
  try {
    if (state.route || state.window !== '5m') await history();
    const [cost, slow] = await Promise.all([json('/api/cost'), json('/api/slow')]);
    renderCost(cost); renderSlow(slow);
  } catch { /* the stream tells when the gateway is away */ } finally { busy = false; }
}, 3000);

// Drawing.
function span() {
  const length = state.window === '1h' ? 3600e3 : 300e3, to = state.stats ? Date.parse(state.stats.at) : Date.now();
  return { from: to - length, to };
}
function draw() {
  const s = span(), p = state.points;
  $('traffic').setAttribute('aria-label', traffic($('traffic'), p, s, state.hover));
  $('ratio').setAttribute('aria-label', ratio($('ratio'), p, s, state.hover));
  $('heat').setAttribute('aria-label', heat($('heat'), p, s, state.bounds, state.hover));
  const h = state.hover;
  set('r-traffic', h ? `${timeText(h.at_ms, true)}  ${compact(h.requests / h.step_s)}/s, ${compact(h.hits / h.step_s)}/s from cache` : '');
  set('r-ratio', h ? `${timeText(h.at_ms, true)}  ${percent(h.routed ? h.hits / h.routed : null)} % of requests, ${percent(h.bytes_out ? h.bytes_from_cache / h.bytes_out : null)} % of bytes` : '');
  set('r-heat', h && h.p50 !== null ? `${timeText(h.at_ms, true)}  p50 ${durationText(h.p50)}, p99 ${durationText(h.p99)}` : '');
}
function render() {
  const s = state.stats;
  if (!s) return;
  set('version', s.version || '–'); set('uptime', since(s.uptime_s));
  const t = s.total, over = s.covered_s || 1;
  set('t-rate', compact(t.per_second)); set('t-rate-note', `${bytes(t.bytes_out / over)}/s to clients`);
  set('t-hit', percent(t.hit_ratio)); set('t-hit-note', t.requests ? `${compact(t.hits)} of ${compact(t.requests)} requests` : 'no requests');
  set('t-bytes', percent(t.byte_hit_ratio)); set('t-bytes-note', `${bytes(t.bytes_from_origin / over)}/s from origins`);
  const [value, unit] = t.p50 === null ? ['–', ''] : durationText(t.p50).split(' ');
  set('t-p50', value); set('t-p50-unit', unit); set('t-p50-note', t.p99 === null ? 'no requests' : 'p99 ' + durationText(t.p99));
  set('t-err', percent(t.error_ratio, 2)); set('t-err-note', t.errors ? `${compact(t.errors)} answers 5xx` : 'none');
  $('t-err').closest('.tile').classList.toggle('bad', t.errors > 0);
  set('t-origin', compact(t.origin_requests / over)); set('t-origin-note', t.requests ? `${percent(t.origin_requests / t.requests)} per 100 requests` : '');
  renderRoutes(s, over); renderUpstreams(s.upstreams); renderTiers(s.tiers); draw();
}

function bar(share, kind = '') { const m = make('span', { class: 'meter ' + kind, 'aria-hidden': 'true' }), i = make('i'); i.style.width = 100 * Math.min(1, share || 0) + '%'; m.append(i); return m; }

// renderRoutes keeps the rows of routes that stay, so that focus and pointer do too.
const rowsByRoute = new Map();
function renderRoutes(s, over) {
  const text = state.sort === 'route', sign = state.down ? -1 : 1;
  const routes = s.routes.toSorted((a, b) => text ? sign * a.route.localeCompare(b.route) : sign * ((a[state.sort] ?? -1) - (b[state.sort] ?? -1)) || a.route.localeCompare(b.route));
  const body = $('routes').tBodies[0];
  for (const [name, row] of rowsByRoute) if (!routes.some((r) => r.route === name)) { row.remove(); rowsByRoute.delete(name); }
  routes.forEach((r, i) => {
    let row = rowsByRoute.get(r.route);
    if (!row) {
      row = make('tr');
      const b = make('button', { class: 'link', type: 'button', text: r.route });
      b.onclick = () => choose(state.route === r.route ? '' : r.route);
      row.append(make('th', { scope: 'row', class: 'text' }, b));
      row.firstChild.className = 'text';
      for (let c = 0; c < 8; c++) row.append(make('td'));
      rowsByRoute.set(r.route, row);
    }
    row.classList.toggle('chosen', r.route === state.route);
    row.querySelector('button').setAttribute('aria-pressed', r.route === state.route);
    const cells = [compact(r.per_second), r.hit_ratio, r.byte_hit_ratio, bytes(r.bytes_out / over), compact(r.origin_requests / over), r.p50 === null ? '–' : durationText(r.p50), r.p99 === null ? '–' : durationText(r.p99), r.errors ? percent(r.error_ratio, 2) + ' %' : '0'];
    cells.forEach((v, c) => {
      const td = row.children[c + 1];
      if (c === 1 || c === 2) {
        if (!td.firstChild) td.append(bar(0), document.createTextNode(''));
        td.firstChild.firstChild.style.width = 100 * (v || 0) + '%';
        td.lastChild.data = v === null ? '–' : percent(v) + ' %';
      } else if (td.textContent !== v) td.textContent = v;
    });
    row.lastChild.classList.toggle('wrong', r.errors > 0);
    row.lastChild.classList.toggle('dim', !r.errors);
    if (body.children[i] !== row) body.insertBefore(row, body.children[i] || null);
  });
  $('routes-empty').hidden = routes.length > 0;
}
function choose(route) {
  state.route = route; state.hover = null;
  $('focus').hidden = !route; set('focus-name', route);
  history().then(() => { render(); draw(); }).catch(() => {});
}

const marks = { up: ['good', 'up'], failing: ['bad', 'failing'], unused: ['idle', 'not used yet'], degraded: ['warn', 'degraded'] };
const badge = (s) => make('span', { class: 'mark ' + (marks[s] || ['idle'])[0], text: (marks[s] || [0, s])[1] });
const once = new Map(); // what a part of the page was last made from
function changed(id, value) { const text = JSON.stringify(value); if (once.get(id) === text) return false; once.set(id, text); return true; }

function renderUpstreams(list) {
  $('upstreams-empty').hidden = list.length > 0;
  if (!changed('upstreams', list)) return;
  $('upstreams').replaceChildren(...list.map((u) => {
    const worst = ['failing', 'up', 'unused'].find((s) => u.targets.some((t) => t.state === s)) || 'unused';
    return make('li', {}, make('div', { class: 'head' }, make('b', { text: u.name }), badge(worst), make('span', { class: 'note', text: `${u.protocol}, ${u.balance.replace('_', ' ')}` }), make('span', { class: 'note', text: `${u.in_flight} in flight` })),
      ...u.targets.map((t) => make('div', { class: 'target' }, make('span', { text: t.url, title: t.url }), make('span', { text: compact(t.requests) + ' calls' }), make('span', { class: t.failures ? 'wrong' : 'dim', text: t.failures ? `${compact(t.failures)} failed` + (t.state === 'failing' ? ': ' + t.last_error.replaceAll('_', ' ') : '') : 'none failed' }))));
  }));
}
function renderTiers(list) {
  if (!changed('tiers', list)) return;
  $('tiers').replaceChildren(...list.map((t) => {
    const li = make('li', {}, make('div', { class: 'head' }, make('b', { text: t.name === 'memory' ? 'Memory' : 'Redis' }), badge(t.state), make('span', { class: 'note', text: t.size ? `${binary(t.bytes || 0)} of ${binary(t.size)}` : t.server || '' })));
    if (t.size) {
      const g = make('div', { class: 'gauge', 'aria-hidden': 'true' }), i = make('i');
      i.style.width = 100 * (t.bytes || 0) / t.size + '%'; g.append(i); li.append(g);
      const looked = (t.hits || 0) + (t.misses || 0);
      li.append(make('dl', { class: 'pairs' }, ...[['Objects', compact(t.objects || 0)], ['Lookups found', looked ? percent((t.hits || 0) / looked) + ' %' : '–'], ['Evicted', compact(t.evicted || 0)], ['Not admitted', compact(t.rejected || 0)], ['Expired', compact(t.expired || 0)]]
        .map(([k, v]) => make('div', {}, make('dt', { text: k }), make('dd', { text: v })))));
    } else if (t.since) li.append(make('p', { class: 'note', text: `${t.state === 'up' ? 'answers' : t.error || 'does not answer'}, since ${new Date(t.since).toLocaleTimeString([], { hour12: false })}` }));
    return li;
  }));
}

// money shows cents, and more digits of what is less than one.
function money(m, currency) {
  const v = m.micros / 1e6, small = v !== 0 && Math.abs(v) < .01;
  return new Intl.NumberFormat('en', { style: 'currency', currency, minimumFractionDigits: 2, maximumFractionDigits: small ? 6 : 2 }).format(small ? v : m.amount);
}
function renderCost(c) {
  if (!changed('cost', { ...c, at: 0 })) return;
  if (!c.configured) {
    set('cost-month', ''); $('cost-routes').hidden = true;
    $('cost').replaceChildren(make('p', { class: 'empty' }, 'No prices are configured. With ', make('code', { text: 'cost' }), ' in the configuration this shows what the traffic costs, and what the cache saves.'));
    return;
  }
  const show = (m) => money(m, c.currency), t = c.total;
  set('cost-month', `${new Date(c.month + '-15').toLocaleDateString('en', { month: 'long', year: 'numeric' })}, ${c.kept.in === 'redis' ? 'all instances' : 'this gateway'}`);
  const figure = (k, v, extra, cls) => make('div', { class: cls || '' }, make('dt', { text: k }), make('dd', {}, v, ...(extra ? [make('small', { text: ' ' + extra })] : [])));
  const parts = [make('dl', { class: 'money' }, figure('Spent', show(t.spent)), figure('Saved', show(t.saved), `${percent(t.saved_share, 0)} %`, 'saved'), figure('Month, projected', c.projected ? show(c.projected) : 'too early'))];
  if (c.budget) {
    const used = c.budget.used_share, kind = used >= 1 ? 'bad' : c.budget.alerts.some((a) => a.reached) ? 'warn' : '';
    const g = make('div', { class: 'gauge ' + kind, 'aria-hidden': 'true' }), i = make('i');
    i.style.width = 100 * Math.min(1, used) + '%'; g.append(i);
    const reached = c.budget.alerts.filter((a) => a.reached).map((a) => a.share);
    parts.push(g, make('p', { class: kind ? 'mark ' + kind : 'note', text: `${percent(used)} % of the budget of ${show(c.budget.monthly)}` + (reached.length ? `; alert at ${reached.join(' and ')}` : '') }));
  }
  if (c.kept.problem) parts.push(make('p', { class: 'wrong', text: 'Not kept: ' + c.kept.problem }));
  if (!c.routes.length) parts.push(make('p', { class: 'empty', text: 'Nothing was spent this month yet.' }));
  $('cost-routes').hidden = !c.routes.length;
  $('cost-table').tBodies[0].replaceChildren(...c.routes.slice(0, 6).map((r) => make('tr', {}, make('th', { scope: 'row', class: 'text', text: r.route || '(no route)' }), make('td', { text: show(r.spent) }), make('td', { text: show(r.saved) }), make('td', { text: compact(r.origin_requests_avoided) }))));
  $('cost').replaceChildren(...parts);
}
function renderSlow(list) {
  $('slow-empty').hidden = list.requests.length > 0;
  set('slow-empty', `No request has taken longer than ${durationText(list.floor)} in the last hour.`);
  const latest = list.requests.slice(0, 40);
  if (!changed('slow', latest)) return;
  $('slow').tBodies[0].replaceChildren(...latest.map((r) => {
    const path = make('td', { class: 'text path', title: `${r.method} ${r.host}${r.path}` }, make('b', { text: r.method }), ' ' + r.path);
    const why = [r.cache, r.reason && r.reason !== r.cache && r.reason !== 'none' ? r.reason : '', r.tier].filter(Boolean).join(', ');
    const origin = r.upstream ? `${r.upstream}` + (r.first_byte ? `, first byte ${durationText(r.first_byte)}` : '') + (r.tries > 1 ? `, ${r.tries} tries` : '') : '–';
    return make('tr', {}, make('td', { class: 'text dim', text: timeText(Date.parse(r.at), true) }), make('td', { text: durationText(r.took) }), path, make('td', { class: r.status >= 500 || !r.status ? 'wrong' : '', text: r.status || 'gone' }),
      make('td', { class: 'text', text: why || '–' }), make('td', { class: 'text', text: r.route || '–' }), make('td', { class: 'text' + (r.error ? ' wrong' : ''), text: r.error ? r.error.replaceAll('_', ' ') : origin }),
      make('td', { class: 'text' }, r.trace_id ? make('code', { text: r.trace_id }) : '–'));
  }));
}

// Purge.
const hints = { tag: 'user:42', url: 'https://example.com/api/users/42', prefix: '/api/', route: 'users', host: 'example.com', all: '' };
let armed = 0;
function disarm() { armed = 0; $('purge-go').classList.remove('armed'); set('purge-go', 'Purge'); }
function said(kind, text) { $('purge-result').className = 'result ' + kind; set('purge-result', text); }
function wish() {
  const kind = $('purge-kind').value, value = $('purge-value').value.trim();
  if (kind !== 'all' && !value) { said('bad', 'Say which.'); $('purge-value').focus(); return null; }
  return { ...(kind === 'all' ? { all: true } : { [kind]: value }), soft: $('purge-soft').checked };
}
async function purge(dry) {
  const body = wish();
  if (!body) return;
  try {
    const r = await api('/purge', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(dry ? { ...body, dry_run: true } : { ...body, wait: '2s' }) });
    const a = await r.json();
    if (dry && r.ok) said('', `It would hit ${compact(a.responses)} responses of ${compact(a.objects)} objects, ${binary(a.bytes)}, in this instance's memory.`);
    else if (r.ok) said(r.status === 200 ? 'good' : 'bad', `Purged: applied by ${a.applied} of ${a.instances} instances in ${a.took_ms} ms.`);
    else said('bad', (a.errors || [a.hint || a.status]).join(' '));
  } catch (err) {
    said('bad', err instanceof Locked ? 'The gateway asks for its token.' : 'The gateway does not answer: nothing is known of the purge.');
  }
}
$('purge-kind').onchange = () => { const k = $('purge-kind').value; $('purge-value').disabled = k === 'all'; $('purge-value').placeholder = hints[k]; disarm(); said('', ''); };
$('purge-value').oninput = disarm;
$('purge').onsubmit = (e) => { e.preventDefault(); disarm(); purge(true); };
$('purge-go').onclick = () => {
  if (!wish()) return;
  if (armed) { clearTimeout(armed); disarm(); purge(false); return; }
  $('purge-go').classList.add('armed'); set('purge-go', 'Purge now'); said('', 'Press again to purge.');
  armed = setTimeout(disarm, 5000);
};

// Controls.
for (const th of document.querySelectorAll('#routes th[data-sort]')) {
  th.querySelector('button').onclick = () => {
    const key = th.dataset.sort;
    state.down = state.sort === key ? !state.down : key !== 'route';
    state.sort = key;
    for (const other of document.querySelectorAll('#routes thead th')) other.removeAttribute('aria-sort');
    th.setAttribute('aria-sort', state.down ? 'descending' : 'ascending');
    render();
  };
}
for (const radio of document.querySelectorAll('#window input')) radio.onchange = () => { state.window = radio.value; state.hover = null; history().then(draw).catch(() => {}); };
$('focus-clear').onclick = () => choose('');
$('theme').onclick = () => { paint(dark() ? 'light' : 'dark'); draw(); };
const dark = () => (document.documentElement.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
function paint(theme) { if (theme) { document.documentElement.dataset.theme = theme; sessionStorage.setItem('penstock-theme', theme); } set('theme', dark() ? 'Light' : 'Dark'); $('theme').setAttribute('aria-label', dark() ? 'Light colours' : 'Dark colours'); }
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { paint(); draw(); });
for (const id of ['traffic', 'ratio', 'heat']) {
  $(id).addEventListener('pointermove', (e) => { state.hover = nearest($(id), state.points, span(), e.clientX); draw(); });
  $(id).addEventListener('pointerleave', () => { state.hover = null; draw(); });
}
new ResizeObserver(draw).observe($('figures'));

// Each table scrolls by itself if it is wider than its card. A hint above the table and a shade at its edge say so: on a phone no scroll bar is seen.
for (const box of document.querySelectorAll('.scroll')) {
  const hint = make('p', { class: 'note hint', 'aria-hidden': 'true' });
  box.before(hint);
  const update = () => {
    const left = box.scrollLeft > 1, right = box.scrollLeft + box.clientWidth < box.scrollWidth - 1;
    box.classList.toggle('left', left); box.classList.toggle('right', right);
    hint.hidden = !left && !right;
    hint.textContent = `${left ? '← ' : ''}more columns${right ? ' →' : ''}`;
  };
  box.addEventListener('scroll', update, { passive: true });
  const sizes = new ResizeObserver(update);
  sizes.observe(box); sizes.observe(box.querySelector('table'));
}
$('login-form').onsubmit = (e) => {
  e.preventDefault();
  state.token = $('token').value.trim();
  sessionStorage.setItem('penstock-token', state.token);
  $('token').value = '';
  begin();
};
$('logout').onclick = () => { sessionStorage.removeItem('penstock-token'); state.token = ''; state.run++; state.stats = null; state.points = []; locked(''); };
function begin() { follow(++state.run); }

set('host', location.host);
paint(sessionStorage.getItem('penstock-theme') || '');
draw();
begin();
