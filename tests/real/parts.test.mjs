// The real parts by themselves, without vestibule: whatever fails here is no fault of its.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { django, provider, radicale, signInAtProvider, whoAmI } from './parts.mjs';
import { Authority, barriers, browser, folder } from './support.mjs';

const app = 'https://app.localhost:1';
const started = [];
const keep = (part) => { started.push(part); return part; };
let chromium;
let op;

before(async () => {
  const authority = new Authority(join(folder(), 'tls'));
  op = keep(await provider(authority, [app]));
  chromium = await browser({ trust: authority.file });
});

after(async () => {
  await chromium?.close();
  await Promise.all(started.map((part) => part.stop()));
});

test('the provider signs a person in and sends them back with a code', async () => {
  const page = await chromium.fresh();
  const verifier = randomBytes(32).toString('base64url');
  const asked = new URLSearchParams({
    client_id: 'vestibule',
    redirect_uri: `${app}/.vestibule/callback`,
    response_type: 'code',
    scope: 'openid profile email',
    state: 'a-state',
    nonce: 'a-nonce',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  await page.goto(`${op.issuer}/auth?${asked}`);
  await page.getByLabel('User').fill('alice');
  await page.getByLabel('Password').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  const back = page.waitForRequest((request) => request.url().startsWith(`${app}/.vestibule/callback`));
  await signInAtProvider(page, 'alice');
  const answer = new URL((await back).url()).searchParams;
  assert.equal(answer.get('state'), 'a-state');
  assert.equal(answer.get('iss'), op.issuer);

  const token = await page.request.post(`${op.issuer}/token`, {
    ignoreHTTPSErrors: true,
    headers: { authorization: `Basic ${Buffer.from(`vestibule:${op.secret}`).toString('base64')}` },
    form: { grant_type: 'authorization_code', code: answer.get('code'), redirect_uri: `${app}/.vestibule/callback`, code_verifier: verifier },
  });
  assert.equal(token.status(), 200, await token.text());
  const claims = JSON.parse(Buffer.from((await token.json()).id_token.split('.')[1], 'base64url'));
  assert.equal(claims.login, 'alice');
  assert.equal(claims.nonce, 'a-nonce');
  assert.deepEqual(claims.groups, ['staff', 'admins']);
});

test('Radicale believes its header and nobody without it', async () => {
  const { address } = keep(await radicale());
  const ask = (headers) => fetch(`${address}/`, { method: 'PROPFIND', headers, body: whoAmI });
  const answer = await ask({ 'x-remote-user': 'alice' });
  assert.equal(answer.status, 207);
  assert.match(await answer.text(), /<href>\/alice\/<\/href>/);
  assert.notEqual((await ask({})).status, 207);
});

test('Django believes its header and nobody without it', async () => {
  const { address } = keep(await django([app]));
  const greeted = await fetch(`${address}/admin/`, { headers: { 'x-forwarded-user': 'alice' } });
  assert.match(await greeted.text(), /<strong>alice<\/strong>/);
  const stranger = await fetch(`${address}/admin/`, { redirect: 'manual' });
  assert.equal(stranger.status, 302);
});

test('axe finds a picture without a text, and nothing on a good page', async () => {
  const page = await chromium.fresh();
  const content = (picture) => `<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1>${picture}</main>`;
  await page.setContent(content('<img src="data:," alt="A dot">'));
  assert.deepEqual(await barriers(page), []);
  await page.setContent(content('<img src="data:,">'));
  assert.match((await barriers(page)).join(), /^image-alt/);
});
