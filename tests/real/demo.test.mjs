// `vestibule demo` in a browser, as somebody who tries it for the first time meets it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Process, barriers, browser, eventually, picture, vestibule } from './support.mjs';

const people = ['Ann Lindqvist', 'Zoë Müller', 'Gil Partner'];
const signOutLink = 'a[href*="/.vestibule/logout"]';

let demo;
let chromium;
let wiki;
let orders;

before(async () => {
  demo = new Process('demo', vestibule, ['demo', '--port', '0']);
  [wiki] = await demo.prints(/https:\/\/wiki\.localhost:\d+\//);
  [orders] = await demo.prints(/https:\/\/orders\.localhost:\d+\//);
  chromium = await browser();
});

after(async () => {
  await chromium?.close();
  await demo?.stop();
});

/** The person's button on the provider's page. */
const button = (page, name) => page.getByRole('button', { name: new RegExp(name) });

/** A page of a fresh browser on which `name` has just signed in at the wiki. */
async function inside(name) {
  const page = await chromium.fresh();
  await page.goto(wiki);
  await button(page, name).click();
  await page.waitForURL(`${wiki}**`);
  return page;
}

// Until the browser is back from the provider, which may ask which account.
async function signedOut(page, name) {
  await eventually('the person is back, signed out', async () => {
    if (new URL(page.url()).pathname.startsWith('/.vestibule/signed-out')) return true;
    await button(page, name).click({ timeout: 500 }).catch(() => {});
    return false;
  });
  await page.getByRole('heading', { level: 1, name: /signed out/i }).waitFor();
}

for (const name of people) {
  test(`${name} signs in and the wiki knows the name`, async () => {
    const page = await inside(name);
    await page.getByText(name).first().waitFor();
    assert.equal(await page.locator(signOutLink).count() > 0, true, 'there is a link to sign out');
  });
}

test('the provider is asked who signs in, and offers everybody', async () => {
  const page = await chromium.fresh();
  await page.goto(wiki);
  assert.notEqual(new URL(page.url()).host, new URL(wiki).host);
  for (const name of people) await button(page, name).waitFor();
  assert.deepEqual(await barriers(page), []);
  await picture(page, 'demo-provider');
});

test('the apps are within reach of everybody', async () => {
  const page = await inside('Ann Lindqvist');
  for (const [address, name] of [[wiki, 'demo-wiki'], [orders, 'demo-orders'], [`${wiki}.vestibule/me`, 'demo-me']]) {
    await page.goto(address);
    assert.deepEqual(await barriers(page), [], name);
    await picture(page, name);
  }
});

test('whoever is in at the wiki is in at the orders without a question', async () => {
  const page = await inside('Ann Lindqvist');
  const answer = await page.goto(orders);
  assert.equal(answer.status(), 200);
  assert.ok(page.url().startsWith(orders), `ended at ${page.url()}`);
  await page.getByText('ann@contoso.example').first().waitFor();
});

test('a person without the role is refused in plain words', async () => {
  const page = await inside('Zoë Müller');
  const answer = await page.goto(orders);
  assert.equal(answer.status(), 403);
  await page.getByRole('heading', { level: 1 }).waitFor();
  assert.deepEqual(await barriers(page), []);
  await picture(page, 'demo-refused');
});

test('whoever signs out stays out until they sign in again', async () => {
  const page = await inside('Ann Lindqvist');
  await page.locator(signOutLink).first().click();
  await signedOut(page, 'Ann Lindqvist');
  assert.deepEqual(await barriers(page), []);
  await picture(page, 'demo-signed-out');
  await page.reload();
  await page.getByRole('heading', { level: 1, name: /signed out/i }).waitFor();

  await page.goto(wiki);
  await button(page, 'Zoë Müller').click();
  await page.waitForURL(`${wiki}**`);
  await page.getByText('Zoë Müller').first().waitFor();
});

test('a typed sign-out asks first, and ends the other app as well', async () => {
  const page = await inside('Ann Lindqvist');
  await page.goto(orders);
  await page.getByText('ann@contoso.example').first().waitFor();
  await page.goto(`${wiki}.vestibule/logout`);
  assert.deepEqual(await barriers(page), []);
  await picture(page, 'demo-sign-out');
  await page.getByRole('button', { name: /^sign out/i }).click();
  await signedOut(page, 'Ann Lindqvist');
  await page.goto(orders);
  await button(page, 'Ann Lindqvist').waitFor();
});
