// A certified OpenID provider, two apps that nobody here wrote, a browser, and vestibule in between.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { django, provider, radicale, signInAtProvider, whoAmI } from './parts.mjs';
import { Authority, Process, barriers, browser, folder, freePort, operator, picture, vestibule, write } from './support.mjs';

const started = [];
const keep = (part) => { started.unshift(part); return part; };
let chromium;
let op;
let admin;
let calendar;

before(async () => {
  const port = await freePort();
  admin = `https://app.localhost:${port}`;
  calendar = `https://calendar.localhost:${port}`;
  const authority = new Authority(join(folder(), 'tls'));
  op = keep(await provider(authority, [admin, calendar]));
  const apps = { django: keep(await django([admin])), radicale: keep(await radicale()) };
  const secret = write(join(authority.dir, 'client-secret'), `${op.secret}\n`, 0o600);
  const { config } = operator({
    authority,
    hosts: ['app.localhost', 'calendar.localhost'],
    main: [
      '[listen]', `https = "127.0.0.1:${port}"`,
      '[idp.op]', `issuer = "${op.issuer}"`, 'client_id = "vestibule"',
      `client_secret_file = "${secret}"`, `ca_file = "${authority.file}"`, '',
    ].join('\n'),
    routes: {
      admin: [
        `from = "${admin}"`, `to = "${apps.django.address}"`, 'allow = "signed-in"',
        '[identity]', 'user_claims = ["login"]', '',
      ].join('\n'),
      calendar: [
        `from = "${calendar}"`, `to = "${apps.radicale.address}"`, '[allow]', 'users = ["alice", "bob"]',
        '[identity]', 'user_claims = ["login"]', '[identity.headers]', 'X-Remote-User = "{user}"', '',
      ].join('\n'),
    },
  });
  const server = keep(new Process('vestibule', vestibule, ['serve', '--config', config]));
  await server.listens(port);
  chromium = await browser({ trust: authority.file });
});

after(async () => {
  await chromium?.close();
  for (const part of started) await part.stop();
});

/** A page of a browser in which `login` has just come into Django's admin pages. */
async function inside(login, options) {
  const page = await chromium.fresh(options);
  await page.goto(`${admin}/admin/`);
  assert.ok(page.url().startsWith(op.issuer), `sent to ${page.url()}`);
  await signInAtProvider(page, login);
  await page.waitForURL(`${admin}/admin/`);
  return page;
}

/** What Radicale answers to a script on its own page that asks who it is. */
function principal(page, headers = {}) {
  return page.evaluate(async ({ body, headers }) => {
    const answer = await fetch('/', { method: 'PROPFIND', headers, body });
    return { status: answer.status, text: await answer.text() };
  }, { body: whoAmI, headers });
}

function whoami(page, headers = {}) {
  return page.evaluate(async (headers) => {
    const answer = await fetch('/whoami', { headers });
    return { status: answer.status, text: await answer.text() };
  }, headers);
}

test('Django greets the person who signed in at the provider', async () => {
  const page = await inside('alice');
  await page.locator('#user-tools strong', { hasText: /^alice$/i }).waitFor();
  await picture(page, 'django-greets-alice');
  const seen = JSON.parse((await whoami(page)).text);
  assert.deepEqual(seen, { ...seen, user: 'alice', header: 'alice', secure: true, host: new URL(admin).host });
  assert.ok(!seen.cookies.some((name) => name.startsWith('__Host-vestibule')), `${seen.cookies}`);
});

test('a person whose name is not ASCII comes in as well', async () => {
  const page = await inside('bob');
  await page.locator('#user-tools strong', { hasText: /^bob$/i }).waitFor();
});

test('Radicale knows the person without asking again', async () => {
  const page = await inside('alice');
  await page.goto(`${calendar}/.web/`);
  assert.ok(page.url().startsWith(calendar), `ended at ${page.url()}`);
  const { status, text } = await principal(page);
  assert.equal(status, 207);
  assert.match(text, /<href>\/alice\/<\/href>/);
  await picture(page, 'radicale');
});

test('a person writes to their own calendar and not to another one', async () => {
  const page = await inside('bob');
  await page.goto(`${calendar}/.web/`);
  const make = (path) => page.evaluate(async (path) => (await fetch(path, { method: 'MKCALENDAR' })).status, path);
  assert.equal(await make('/bob/work/'), 201);
  assert.equal(await make('/alice/work/'), 403);
});

test('a header that the browser sends makes nobody of anybody', async () => {
  const page = await inside('alice');
  for (const name of ['X-Forwarded-User', 'x-forwarded-user', 'X_Forwarded_User', 'X-Forwarded_User', 'X.Forwarded.User', 'Remote-User', 'X-Remote-User']) {
    const seen = JSON.parse((await whoami(page, { [name]: 'mallory' })).text);
    assert.deepEqual([seen.user, seen.header], ['alice', 'alice'], name);
  }
  await page.goto(`${calendar}/.web/`);
  for (const name of ['X-Remote-User', 'X_Remote_User', 'x-remote_user']) {
    const { text } = await principal(page, { [name]: 'bob' });
    assert.match(text, /<href>\/alice\/<\/href>/, name);
    assert.doesNotMatch(text, /bob/, name);
  }
});

test('without a session a header opens nothing', async () => {
  const page = await chromium.fresh({ bypassCSP: true });
  await page.goto(`${admin}/.vestibule/signed-out`);
  const { status, text } = await whoami(page, { 'X-Forwarded-User': 'alice' });
  assert.equal(status, 401);
  assert.doesNotMatch(text, /"user"/);
});

test('a person no rule names gets a page that says so, and nothing of the app', async () => {
  const page = await inside('carol');
  const answer = await page.goto(`${calendar}/.web/`);
  assert.equal(answer.status(), 403);
  assert.deepEqual(await barriers(page), []);
  await picture(page, 'provider-refused');
});

test('a person who cancels is told so and not sent round again', async () => {
  const page = await chromium.fresh();
  await page.goto(`${admin}/admin/`);
  const answered = page.waitForResponse((answer) => answer.url().includes('/.vestibule/callback'));
  await page.getByRole('button', { name: 'Cancel' }).click();
  assert.ok((await answered).status() >= 400);
  await page.getByRole('heading', { level: 1, name: /cancel/i }).waitFor();
  assert.deepEqual(await barriers(page), []);
  await picture(page, 'provider-cancelled');
});

test('signing out ends it here and at the provider', async () => {
  const page = await inside('alice', { bypassCSP: true });
  await page.goto(`${admin}/.vestibule/logout`);
  assert.deepEqual(await barriers(page), []);
  await page.getByRole('button', { name: /^sign out/i }).click();
  await page.getByRole('button', { name: 'Sign out of the provider' }).click();
  await page.waitForURL(`${admin}/.vestibule/signed-out**`);
  await page.getByRole('heading', { level: 1, name: /signed out/i }).waitFor();
  assert.equal((await whoami(page)).status, 401);
  await page.goto(`${admin}/admin/`);
  await page.getByLabel('Password').waitFor();
  assert.ok(page.url().startsWith(op.issuer), 'the provider asks for the password again');
  assert.match(op.process.output, /a session was ended/);
});
