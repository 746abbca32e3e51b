// Scanners that nobody here wrote, against the program as it is served: what they find in its TLS, and
// whether slow clients by the hundred keep others waiting.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Authority, Process, folder, freePort, operator, out, python, run, vestibule, write } from './support.mjs';

let app;
let authority;
let served;
let port;
let ops;

before(async () => {
  const piece = Buffer.alloc(256 * 1024, 'x');
  app = http.createServer((request, answer) => {
    answer.on('error', () => {});
    request.on('error', () => {});
    // As apps do: whoever posts a form is answered once it is there.
    request.resume().once('end', () => answer.end(request.url.startsWith('/pub/large') ? piece : 'fine'));
  });
  await new Promise((resolve) => app.listen(0, '127.0.0.1', resolve));
  [port, ops] = [await freePort(), await freePort()];
  authority = new Authority(join(folder(), 'tls'));
  const secret = write(join(authority.dir, 'client-secret'), 'a secret that is never printed\n', 0o600);
  const { config } = operator({
    authority,
    hosts: ['localhost'],
    main: [
      '[listen]', `https = "127.0.0.1:${port}"`, 'grace = "1s"',
      '[ops]', `listen = "127.0.0.1:${ops}"`,
      '[log]', 'access = "off"',
      '[idp.nowhere]', 'issuer = "http://127.0.0.1:9"', 'client_id = "vestibule"',
      `client_secret_file = "${secret}"`, '',
    ].join('\n'),
    routes: {
      wiki: [
        `from = "https://localhost:${port}"`, `to = "http://127.0.0.1:${app.address().port}"`, 'allow = "signed-in"',
        '[[public]]', 'path = "/pub/*"', '',
      ].join('\n'),
    },
  });
  served = new Process('scanned', vestibule, ['serve', '--config', config]);
  await served.prints(/\bready\b/i);
});

after(async () => {
  await served?.stop();
  app?.closeAllConnections();
  app?.close();
});

/** The status of a GET by a client as good as any, on a connection of its own. */
function good(path = '/pub/page') {
  return new Promise((resolve, reject) => {
    const ca = readFileSync(authority.file);
    const request = https.get({ host: 'localhost', port, path, ca, agent: false, timeout: 15_000 }, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode)).once('error', reject);
    });
    request.once('timeout', () => request.destroy(new Error('nobody answered in fifteen seconds')));
    request.once('error', reject);
  });
}

/** It serves on, and nothing in it has broken. */
async function isWhole() {
  assert.equal(served.exit, undefined, served.output);
  assert.equal(await good(), 200);
  const metrics = await (await fetch(`http://127.0.0.1:${ops}/metrics`)).text();
  assert.match(metrics, /^vestibule_panics_total 0$/m);
}

test('sslyze finds what Mozilla recommends, and no certificate it could trust', async () => {
  const report = join(out, 'sslyze.json');
  const { output } = await run(python, [
    '-m', 'sslyze', '--mozilla_config=intermediate', '--early_data', '--reneg', '--resum',
    '--certinfo', '--compression', '--elliptic_curves', '--fallback', '--ems', '--heartbleed', '--openssl_ccs', '--robot',
    '--sslv2', '--sslv3', '--tlsv1', '--tlsv1_1', '--tlsv1_2', '--tlsv1_3',
    `--json_out=${report}`, `localhost:${port}`,
  ], { name: 'sslyze' });
  const [deviations] = output.split('COMPLIANCE AGAINST TLS CONFIGURATION').slice(1);
  const found = deviations.split('\n').map((line) => line.trim()).filter((line) => line.startsWith('* '));
  // The authority of the tests is nobody's.
  assert.deepEqual(found.filter((line) => !line.startsWith('* certificate_path_validation:')), [], deviations);

  const [server] = JSON.parse(readFileSync(report, 'utf8')).server_scan_results;
  assert.equal(server.scan_status, 'COMPLETED', JSON.stringify(server.connectivity_error_trace));
  const result = (name) => {
    assert.equal(server.scan_result[name].status, 'COMPLETED', name);
    return server.scan_result[name].result;
  };
  for (const [name, spoken] of Object.entries({
    ssl_2_0_cipher_suites: false, ssl_3_0_cipher_suites: false, tls_1_0_cipher_suites: false,
    tls_1_1_cipher_suites: false, tls_1_2_cipher_suites: true, tls_1_3_cipher_suites: true,
  })) {
    const { accepted_cipher_suites: suites } = result(name);
    assert.equal(suites.length > 0, spoken, name);
    for (const { cipher_suite: { name: suite } } of suites) assert.match(suite, /_(GCM|POLY1305)_/);
  }
  assert.equal(result('tls_1_3_early_data').supports_early_data, false);
  assert.equal(result('session_renegotiation').is_vulnerable_to_client_renegotiation_dos, false);
  assert.equal(result('session_renegotiation').supports_secure_renegotiation, true);
  assert.equal(result('tls_compression').supports_compression, false);
  assert.equal(result('heartbleed').is_vulnerable_to_heartbleed, false);
  assert.equal(result('openssl_ccs_injection').is_vulnerable_to_ccs_injection, false);
  assert.equal(result('tls_extended_master_secret').supports_ems_extension, true);
  await isWhole();
});

// What testssl finds that is as it should be, each with its reason.
const expected = {
  cert_chain_of_trust: 'the authority of the tests is nobody\'s',
  cert_expirationStatus: 'its certificates live for thirty days',
  cert_notAfter: 'its certificates live for thirty days',
  cert_revocation: 'the authority of the tests revokes nothing',
  cipher_order: 'every suite that is offered is a good one, so the client may choose what is quick for it',
  DNS_CAArecord: 'localhost has no zone',
  engine_problem: 'this is about the system\'s own openssl',
  HSTS_time: 'one day until the operator writes more',
  HTTP_status_code: 'testssl names the host without its port, which no route has',
  sessionresumption_ticket: 'testssl cannot tell with this openssl; tests/it/tls_tickets.rs does',
};

test('testssl finds nothing but what is as it should be', async () => {
  const report = join(folder(), 'testssl.json');
  const { output } = await run('testssl', [
    '--quiet', '--color', '0', '--ip', 'one', '--warnings', 'batch', '--sneaky', '--jsonfile', report,
    '--protocols', '--std', '--server-preference', '--server-defaults', '--header', '--vulnerable',
    `https://localhost:${port}/pub/page`,
  ], { name: 'testssl' });
  const findings = JSON.parse(readFileSync(report, 'utf8'));
  const looked = new Set(findings.map(({ id }) => id));
  for (const id of ['TLS1', 'TLS1_2', 'TLS1_3', 'secure_client_renego', 'ROBOT', 'HSTS_time', 'BEAST']) {
    assert.ok(looked.has(id), `${id} was not looked at:\n${output}`);
  }
  const bad = findings.filter(({ severity }) => !['OK', 'INFO', 'DEBUG'].includes(severity));
  const surprising = bad.filter(({ id }) => !(id in expected));
  assert.deepEqual(surprising.map(({ id, severity, finding }) => `${severity} ${id}: ${finding}`), []);
  await isWhole();
});

const seconds = 18;
const slow = {
  // S-254
  'heads that never end': ['-H', '-i', '3', '-x', '24', '-u', '/pub/page'],
  // S-256
  'bodies that never end': ['-B', '-i', '3', '-s', '65536', '-x', '24', '-t', 'POST', '-u', '/pub/form'],
  // S-257
  'answers that are hardly read': ['-X', '-w', '512', '-y', '1024', '-n', '3', '-z', '32', '-k', '3', '-u', '/pub/large'],
};

for (const [what, args] of Object.entries(slow)) {
  test(`slowhttptest: ${what} keep nobody else waiting`, async () => {
    const path = args.pop();
    const attack = new Process(`slow${args[0]}`, 'slowhttptest', [
      '-c', '300', '-r', '100', '-l', String(seconds), '-p', '5', ...args, `https://localhost:${port}${path}`,
    ], { cwd: folder() });
    let served = 0;
    while (!attack.exit) {
      assert.equal(await good(), 200);
      served += 1;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(served > 5, `${served} in ${seconds} seconds`);
    const told = attack.output.replace(/\u001b\[[0-9;]*m/g, '');
    assert.match(told, /service available:\s+YES/);
    assert.doesNotMatch(told, /service available:\s+NO/);
    await isWhole();
  });
}
