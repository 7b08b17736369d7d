// What an operator is to see on the dashboard, checked in a browser. It says LOAD on a line when it wants requests, KILL when the gateway is to go.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const { TOOLS, ADMIN, TOKEN, SHOTS, PROFILE } = process.env;
const require = createRequire(path.join(TOOLS, 'package.json'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
let failures = 0;
const ok = (what, good, detail = '') => { if (!good) failures++; console.log(`${good ? 'ok  ' : 'FAIL'} ${what} ${good ? '' : detail}`); };
const say = (word) => process.stdout.write(word + '\n');

const context = await chromium.launchPersistentContext(PROFILE, {
  executablePath: '/usr/bin/chromium', headless: true, viewport: { width: 1440, height: 900 }, colorScheme: 'light', reducedMotion: 'reduce', bypassCSP: false,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
context.setDefaultTimeout(60000);
const page = context.pages()[0] || await context.newPage();
const complaints = [], foreign = [];
page.on('console', (m) => { if (m.type() === 'error' && !/401|Failed to load resource|ERR_CONNECTION/.test(m.text())) complaints.push(m.text()); });
page.on('pageerror', (e) => complaints.push(String(e)));
page.on('request', (r) => { if (!r.url().startsWith(ADMIN)) foreign.push(r.url()); });
const text = (id) => page.locator('#' + id).innerText();
const shot = (name) => SHOTS && page.screenshot({ path: path.join(SHOTS, name + '.png'), fullPage: true });
async function until(what, check) {
  for (let i = 0; i < 200; i++) { if (await check()) return ok(what, true); await new Promise((r) => setTimeout(r, 100)); }
  ok(what, false, 'in vain');
}
// accessible has the checker look at the page as it is. It runs beside the page, not in it: the page's policy lets no script in.
async function accessible(what) {
  const session = await context.newCDPSession(page);
  const evaluate = (expression) => session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
  await evaluate(axe);
  const { result, exceptionDetails } = await evaluate('axe.run(document, { resultTypes: ["violations"] }).then(r => JSON.stringify(r.violations.map(v => [v.id, v.nodes.map(n => n.target.join(" ") + " " + n.failureSummary)])))');
  const violations = exceptionDetails ? [[exceptionDetails.text]] : JSON.parse(result.value);
  ok(`accessible: ${what}`, violations.length === 0, JSON.stringify(violations, null, 1));
  await session.detach();
}
const sizes = { desktop: [1440, 900], phone: [390, 844] };
async function looks(name, ...which) { // without SHOTS only those named are looked at: the checker takes its time
  for (const [size, [width, height]] of Object.entries(sizes)) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['light', 'dark']) {
      if (!SHOTS && which.length && !which.includes(`${size}-${colorScheme}`)) continue;
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.waitForTimeout(120);
      await accessible(`${name}, ${size}, ${colorScheme}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      ok(`no sideways scrolling: ${name}, ${size}`, wide <= 0, `${wide} px`);
      await shot(`${name}-${size}-${colorScheme}`);
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
}

// unfit lists what does not fit its place at the present width. The page may not scroll sideways, no part may reach beyond the window or its own card,
// except a table in a region that scrolls; such a region says that it does; a heading ends, or begins, where its figures do.
const unfit = () => page.evaluate(() => {
  const found = [], width = document.documentElement.clientWidth;
  const named = (e) => e.tagName.toLowerCase() + (e.id ? '#' + e.id : e.className ? '.' + String(e.className).replaceAll(' ', '.') : '') + ` "${e.textContent.trim().slice(0, 24)}"`;
  if (document.documentElement.scrollWidth > width) found.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  for (const e of document.querySelectorAll('body *')) {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    if (!box.width || e.closest('.hidden, .skip') || e.parentElement.closest('.scroll')) continue;
    if (box.right > width + .5 || box.left < -.5) found.push(`${named(e)} reaches from ${box.left} to ${box.right}`);
    const card = e.closest('.card')?.getBoundingClientRect();
    if (card && box.right > card.right + .5) found.push(`${named(e)} leaves its card`);
    if (e.scrollWidth > e.clientWidth + 1 && style.display !== 'inline' && !e.matches('.scroll, input, select, fieldset') && style.overflowX === 'visible') found.push(`${named(e)} is cut: ${e.scrollWidth} in ${e.clientWidth}`);
  }
  const inked = (e) => { const r = document.createRange(); r.selectNodeContents(e); return r.getBoundingClientRect(); };
  for (const table of document.querySelectorAll('table')) {
    const region = table.closest('.scroll');
    if (!table.getBoundingClientRect().width) continue;
    if (!region) { found.push(`${named(table)} does not scroll by itself`); continue; }
    const hint = region.previousElementSibling, shown = hint?.matches('.hint') && hint.getBoundingClientRect().height > 0;
    const scrolls = region.scrollWidth > region.clientWidth + 1;
    if (scrolls !== shown) found.push(`${named(table)} ${scrolls ? 'scrolls without' : 'does not scroll and has'} a hint`);
    if (scrolls && getComputedStyle(region).boxShadow === 'none') found.push(`${named(table)} has no shade at its edge`);
    [...table.tHead.rows[0].cells].forEach((head, i) => {
      const cell = table.tBodies[0].rows[0]?.cells[i];
      if (!cell || head.hasAttribute('aria-sort')) return; // its arrow stands between
      const a = inked(head.querySelector('button')?.firstChild || head.firstChild), b = inked(cell), left = getComputedStyle(head).textAlign === 'left';
      const off = left ? a.left - b.left : a.right - b.right;
      if (b.width && Math.abs(off) > 1 && !cell.matches('.path')) found.push(`"${head.textContent}" of ${table.id || 'a table'} is ${off} px beside its figures`);
    });
  }
  for (const canvas of document.querySelectorAll('canvas')) {
    const box = canvas.getBoundingClientRect();
    if (box.width && Math.abs(canvas.width - Math.round(box.width * devicePixelRatio)) > 1) found.push(`${canvas.id} is drawn ${canvas.width} wide for ${box.width}`);
  }
  return found;
});
async function fits(name) {
  for (const width of [320, 360, 390, 480, 640, 760, 761, 900, 1080, 1280, 1440]) {
    await page.setViewportSize({ width, height: 844 });
    let found;
    for (let i = 0; i < 50; i++) { // observers of sizes act at the next frames
      found = await unfit();
      if (!found.length) break;
      await page.waitForTimeout(100);
    }
    ok(`fits ${width} px: ${name}`, !found.length, '\n     ' + found.join('\n     '));
    await shot(`${name}-${width}`);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
}

// Locked: the page is there, its figures are not.
await page.goto(ADMIN + '/');
await until('it asks for the token', () => page.locator('#login').isVisible());
ok('nothing is shown without it', !await page.locator('#figures').isVisible());
await page.locator('#token').fill('wrong');
await page.keyboard.press('Enter');
await until('a wrong token is told of', async () => (await text('login-error')).includes('does not know'));
await looks('locked', 'phone-dark');
await fits('locked');
await page.locator('#token').fill(TOKEN);
await page.keyboard.press('Enter');
await until('the right one opens it', async () => (await text('state-text')) === 'Ready');
ok('the token is in this tab alone', await page.evaluate((t) => sessionStorage.getItem('penstock-token') === t && localStorage.length === 0 && document.cookie === '', TOKEN));

// Empty: nothing has come through yet.
await until('it says that there was nothing', () => page.locator('#routes-empty').isVisible());
ok('so do the slow requests', await page.locator('#slow-empty').isVisible());
await looks('empty', 'desktop-light');
await fits('empty');

// Under load.
say('LOAD');
await until('routes appear', async () => (await page.locator('#routes tbody tr').count()) >= 5);
await until('slow requests appear', async () => (await page.locator('#slow tbody tr').count()) > 0);
await until('cost is reckoned', async () => /\$\d/.test(await text('cost')));
await page.waitForTimeout(1000 * (Number(process.env.LOAD) || 3));
ok('a failing upstream is named', /failing/.test(await text('upstreams')), await text('upstreams'));
ok('the rate is a number', Number((await text('t-rate')).replace(/[k,]/g, '')) > 0, await text('t-rate'));
ok('no secret of a query is shown', !(await page.content()).includes('hunter2'));
ok('a chart has words', /Requests per second: [\d.,]+k? now/.test(await page.locator('#traffic').getAttribute('aria-label')));
const rates = () => page.locator('#routes tbody tr th').allInnerTexts();
await page.getByRole('button', { name: 'Route', exact: true }).click();
const sorted = await rates();
ok('routes are sorted by name', JSON.stringify(sorted) === JSON.stringify(sorted.toSorted()) && await page.locator('th[data-sort=route]').getAttribute('aria-sort') === 'ascending', sorted.join());
await page.getByRole('button', { name: 'Requests/s' }).click();
await page.getByRole('button', { name: 'users', exact: true }).click();
ok('a route is chosen', await page.locator('#focus').isVisible() && (await text('focus-name')) === 'users');
await page.getByRole('button', { name: 'Show all routes' }).click();
await page.locator('#window label', { hasText: '1 hour' }).click();
await page.locator('#window label', { hasText: '5 min' }).click();
await page.locator('#traffic').hover({ position: { x: 600, y: 80 } });
await looks('load');
await fits('load');
await page.setViewportSize({ width: 320, height: 844 });
for (const table of ['routes', 'slow', 'cost-table']) {
  const region = page.locator('.scroll', { has: page.locator('#' + table) }), hint = () => region.evaluate((e) => e.previousElementSibling.textContent);
  if (!await region.evaluate((e) => e.scrollWidth > e.clientWidth + 1)) continue; // short amounts fit
  await until(`${table} tells of columns to the right`, async () => (await hint()) === 'more columns →');
  await region.evaluate((e) => { e.scrollLeft = e.scrollWidth; });
  await until(`${table} tells of columns to the left`, async () => (await hint()) === '← more columns');
}
await page.setViewportSize({ width: 1440, height: 900 });

// Purge, with the keyboard alone.
await page.locator('#purge-kind').focus();
await page.keyboard.press('Tab');
await page.keyboard.type('user:3');
await page.keyboard.press('Enter');
await until('a purge is counted first', async () => /It would hit \d+ responses?/.test(await text('purge-result')));
for (let i = 0; i < 3; i++) await page.keyboard.press('Tab');
ok('Tab leads to the button that purges', await page.evaluate(() => document.activeElement.id === 'purge-go'));
ok('its focus is seen', await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== 'none'));
await page.keyboard.press('Enter');
await until('it asks once more', async () => (await text('purge-go')) === 'Purge now');
await page.keyboard.press('Enter');
await until('then it purges', async () => /Purged: applied by 1 of 1/.test(await text('purge-result')));
await page.getByRole('button', { name: 'Dark colours' }).click();
ok('dark by choice', await page.evaluate(() => document.documentElement.dataset.theme === 'dark'));
await page.getByRole('button', { name: 'Light colours' }).click();
await page.evaluate(() => { delete document.documentElement.dataset.theme; sessionStorage.removeItem('penstock-theme'); });

// Gone.
say('KILL');
await until('it says that the gateway is away', async () => (await text('state-text')) === 'Unreachable' && await page.locator('#banner').isVisible());
await page.waitForTimeout(400);
await looks('gone', 'desktop-dark');
await fits('gone');
ok('nothing was asked of anybody else', foreign.length === 0, foreign.join());
ok('the console is quiet', complaints.length === 0, complaints.join('\n'));
await context.close();
process.exit(failures ? 1 : 0);
