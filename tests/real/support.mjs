// What the real-part tests stand on: processes, ports, certificates, a browser.
//
// Whatever is started here is ended here, by its own pid, and leaves its log in tests/real/out/.

import { execFileSync, spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

export const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, '..', '..');
export const out = join(here, 'out');
export const vestibule = process.env.VESTIBULE ?? join(root, 'target', 'ci', 'vestibule');
export const python = join(here, '.venv', 'bin', 'python');

mkdirSync(out, { recursive: true });

const PATIENCE = 30_000;
const folders = [];
const running = new Set();

// Also when a test file dies halfway.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  for (const dir of folders) rmSync(dir, { recursive: true, force: true });
});

/** Polls until `holds` gives something true, and hands it on; throws once the patience is over. */
export async function eventually(what, holds, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  for (;;) {
    const found = await holds();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`this did not come about: ${what}`);
    await new Promise((again) => setTimeout(again, 25));
  }
}

/** A port that was free a moment ago. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Whether something accepts connections on a port of loopback. */
function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

/** A new folder outside the repository; gone when the test file has ended. */
export function folder() {
  const dir = mkdtempSync(join(tmpdir(), 'vestibule-real-'));
  folders.push(dir);
  return dir;
}

/** Writes a file and the folders above it. */
export function write(file, text, mode = 0o644) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { mode });
  return file;
}

/** The environment of this process without what would configure a vestibule by accident. */
export function environment(extra = {}) {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('VESTIBULE'));
  return { ...Object.fromEntries(kept), ...extra };
}

/** A process that runs until it is stopped. */
export class Process {
  constructor(name, command, args, { env = {}, cwd = root } = {}) {
    this.name = name;
    this.stdout = '';
    this.stderr = '';
    this.exit = undefined;
    const log = createWriteStream(join(out, `${name}.log`));
    this.child = spawn(command, args, { cwd, env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.child);
    for (const stream of ['stdout', 'stderr']) {
      this.child[stream].setEncoding('utf8').on('data', (text) => { this[stream] += text; log.write(text); });
    }
    this.ended = new Promise((resolve) => {
      this.child.once('error', (fault) => {
        running.delete(this.child);
        this.stderr += `${fault}\n`;
        this.exit ??= { code: null };
        resolve(this.exit);
      });
      this.child.once('close', (code, signal) => {
        running.delete(this.child);
        this.exit ??= { code, signal };
        log.end();
        resolve(this.exit);
      });
    });
  }

  get output() {
    return this.stdout + this.stderr;
  }

  /** Waits until a part of what it prints matches; hands the match on. */
  async prints(pattern) {
    return this.#does(`prints ${pattern}`, () => pattern.exec(this.output));
  }

  /** Waits until it accepts connections on a port of loopback. */
  async listens(port) {
    await this.#does(`listens on ${port}`, () => accepts(port));
    return this;
  }

  /** Waits for what only a living process can do. */
  #does(what, holds) {
    return eventually(`${this.name} ${what}`, async () => {
      const { exit } = this;
      const found = await holds();
      if (!found && exit) throw new Error(`${this.name} ended (${exit.code}) and had printed:\n${this.output}`);
      return found;
    });
  }

  /** Asks it to end, insists after a while, and says how it ended. */
  async stop(signal = 'SIGTERM') {
    if (!this.exit) this.child.kill(signal);
    const insisting = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE);
    const exit = await this.ended;
    clearTimeout(insisting);
    return exit;
  }
}

/** Runs a command to its end; gives exit code and output, throws nothing. */
export async function run(command, args, options = {}) {
  const process = new Process(options.name ?? 'run', command, args, options);
  const { code } = await process.ended;
  return { code, stdout: process.stdout, stderr: process.stderr, output: process.output };
}

/** A throw-away authority in `dir`, and certificates of it. */
export class Authority {
  constructor(dir) {
    this.dir = dir;
    mkdirSync(dir, { recursive: true });
    this.file = join(dir, 'ca.pem');
    this.key = join(dir, 'ca.key');
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30',
      '-subj', '/CN=test authority', '-addext', 'basicConstraints=critical,CA:TRUE',
      '-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-keyout', this.key, '-out', this.file);
  }

  /** Writes NAME.crt and NAME.key for these hosts into `dir`; `usage` says which side of TLS they are for. */
  leaf(dir, name, hosts, usage = 'serverAuth') {
    mkdirSync(dir, { recursive: true });
    const [cert, key] = ['crt', 'key'].map((ending) => join(dir, `${name}.${ending}`));
    const request = join(this.dir, `${name}.csr`);
    const names = hosts.map((host) => (net.isIP(host) ? `IP:${host}` : `DNS:${host}`)).join(',');
    const extensions = write(join(this.dir, `${name}.ext`),
      `subjectAltName=${names}\nbasicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=${usage}\n`);
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${hosts[0]}`,
      '-keyout', key, '-out', request);
    openssl('x509', '-req', '-in', request, '-CA', this.file, '-CAkey', this.key,
      '-CAcreateserial', '-days', '30', '-extfile', extensions, '-out', cert);
    return { cert, key };
  }
}

function openssl(...args) {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/**
 * A headless Chromium. With `trust` (a PEM file) it accepts that authority and no other unknown one;
 * without, it accepts any certificate.
 */
export async function browser({ trust } = {}) {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
  const home = folder();
  if (trust) {
    const store = `sql:${join(home, '.pki', 'nssdb')}`;
    mkdirSync(join(home, '.pki', 'nssdb'), { recursive: true });
    execFileSync('certutil', ['-d', store, '-N', '--empty-password']);
    execFileSync('certutil', ['-d', store, '-A', '-t', 'C,,', '-n', 'test authority', '-i', trust]);
  }
  const launched = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--no-proxy-server',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    env: { ...process.env, HOME: home },
  });
  return {
    /** A page of a browser that has never been anywhere. */
    async fresh(options = {}) {
      const viewport = { width: 1280, height: 800 };
      const context = await launched.newContext({ ignoreHTTPSErrors: !trust, viewport, ...options });
      context.setDefaultTimeout(PATIENCE);
      return context.newPage();
    },
    close: () => launched.close(),
  };
}

/** Keeps a picture of the page in tests/real/out/. */
export async function picture(page, name) {
  await page.screenshot({ path: join(out, `${name}.png`), fullPage: true });
}

/** What axe finds against WCAG 2.2 AA on the page, one line each; none if all is well. */
export async function barriers(page) {
  const { violations, passes } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']).analyze();
  if (passes.length === 0) throw new Error('axe looked at nothing');
  return violations.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes.map((node) => node.target).join(' ')}`);
}

/** The folder of an operator: `config/` with these routes, `certs/`, secrets; gives its paths. */
export function operator({ main, routes = {}, authority, hosts = [] }) {
  const base = folder();
  const config = join(base, 'config');
  write(join(config, 'vestibule.toml'), main);
  for (const [id, text] of Object.entries(routes)) write(join(config, 'routes.d', `${id}.toml`), text);
  if (authority) authority.leaf(join(base, 'certs'), 'apps', hosts);
  return { base, config };
}
