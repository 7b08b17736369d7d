// What pages of an allowed and of a refused origin can do with a gateway, as a browser judges it.
import { createRequire } from 'node:module';
import path from 'node:path';

const { TOOLS, GATEWAY, APP, EVIL, PROFILE } = process.env;
const { chromium } = createRequire(path.join(TOOLS, 'package.json'))('playwright-core');
let failures = 0;
const ok = (what, good, detail = '') => { if (!good) failures++; console.log(`${good ? 'ok  ' : 'FAIL'} ${what} ${good ? '' : JSON.stringify(detail)}`); };

const context = await chromium.launchPersistentContext(PROFILE, {
  executablePath: '/usr/bin/chromium', headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
context.setDefaultTimeout(60000);
const app = await context.newPage(), evil = await context.newPage();
await app.goto(APP);
await evil.goto(EVIL);

// ask has a page fetch, and tells what its script can read.
const ask = (page, target, options = {}) => page.evaluate(async ([url, options]) => {
  try {
    const r = await fetch(url, options);
    return { status: r.status, text: await r.text(), total: r.headers.get('X-Total'), hidden: r.headers.get('X-Hidden') };
  } catch (e) {
    return { error: String(e) };
  }
}, [GATEWAY + target, options]);
const can = async (what, page, target, options, check = () => true) => { const r = await ask(page, target, options); ok(what, r.status === 200 && check(r), r); };
const cannot = async (what, page, target, options) => { const r = await ask(page, target, options); ok(what, r.error !== undefined, r); };

// The browser has the file from an element that sends no Origin, and may use it again. Vary tells it
// that a script needs another response. The gateway has one for both.
const image = await app.evaluate((url) => fetch(url, { mode: 'no-cors' }).then((r) => r.type, String), GATEWAY + '/static/a');
ok('app: a file as an element loads it', image === 'opaque', image);
for (const round of ['first', 'second']) {
  await cannot(`evil: a file, ${round}`, evil, '/static/a', {});
  await can(`app: a file, ${round}`, app, '/static/a', {}, (r) => r.text.startsWith('GET /static/a'));
}
await can('app: a file, after a preflight for a field', app, '/static/a', { headers: { 'X-Requested-With': 'x' } });
await cannot('app: a file, with another field', app, '/static/a', { headers: { 'X-Other': 'x' } });
await cannot('evil: a file, after a preflight', evil, '/static/a', { headers: { 'X-Requested-With': 'x' } });
await can('app: an open file', app, '/open/a', {});
await can('evil: an open file', evil, '/open/a', {});
await cannot('evil: an open file with credentials', evil, '/open/a', { credentials: 'include' });

await cannot('app: credentials where they are not allowed', app, '/static/a', { credentials: 'include' });

await app.evaluate(() => { document.cookie = 'session=alice; path=/'; });
const put = (name) => ({ method: 'PUT', credentials: 'include', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name }) });
await can('app: a PUT with credentials, after a preflight', app, '/api/app', put('app'), (r) => r.text === 'PUT /api/app with cookie "session=alice": {"name":"app"}');
await can('app: fields that are exposed', app, '/api/app', { credentials: 'include' }, (r) => r.total === '7' && r.hidden === null);
await cannot('evil: a PUT with credentials', evil, '/api/evil', put('evil'));
await cannot('evil: a GET with credentials', evil, '/api/evil', { credentials: 'include' });
await cannot('app: a method that is not listed', app, '/api/app', { method: 'DELETE', credentials: 'include' });
await cannot('app: a route without rules', app, '/plain/a', { method: 'PUT' });
// The origin of a sandboxed frame is null.
const frame = await app.evaluate((url) => new Promise((done) => {
  addEventListener('message', (e) => done(e.data), { once: true });
  const f = document.createElement('iframe');
  f.sandbox = 'allow-scripts';
  f.srcdoc = `<script>fetch(${JSON.stringify(url)}).then((r) => parent.postMessage('read ' + r.status, '*'), (e) => parent.postMessage('refused', '*'))</script>`;
  document.body.append(f);
}), GATEWAY + '/api/app');
ok('a sandboxed frame: refused', frame === 'refused', frame);

await context.close();
process.exit(failures ? 1 : 0);
