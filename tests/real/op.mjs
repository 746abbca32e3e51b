// A certified OpenID provider with three people of its own: `node op.mjs`, set up by OP_* variables.
//
//   OP_PORT         where to listen on loopback, over https
//   OP_CERT, OP_KEY its certificate; the issuer is https://localhost:OP_PORT
//   OP_APPS         origins of the apps, separated by blanks: their callback and signed-out page count
//   OP_SECRET       the client secret; the client id is "vestibule"

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

import { Provider } from 'oidc-provider';

const { OP_PORT, OP_CERT, OP_KEY, OP_APPS, OP_SECRET } = process.env;
const issuer = `https://localhost:${OP_PORT}`;
const apps = OP_APPS.split(' ');

/** Everybody's password is their login with "-password" behind it. */
const people = {
  alice: { name: 'Alice Example', groups: ['staff', 'admins'] },
  bob: { name: 'Bob Ångström', groups: ['staff'] },
  carol: { name: 'Carol Guest', groups: [] },
};

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const signingKey = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'only' };

const provider = new Provider(issuer, {
  jwks: { keys: [signingKey] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  clients: [{
    client_id: 'vestibule',
    client_secret: OP_SECRET,
    redirect_uris: apps.map((app) => `${app}/.vestibule/callback`),
    post_logout_redirect_uris: apps.map((app) => `${app}/.vestibule/signed-out`),
  }],
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username', 'groups', 'login'],
    email: ['email', 'email_verified'],
  },
  conformIdTokenClaims: false, // claims stand in the ID token, not only at userinfo
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    rpInitiatedLogout: { enabled: true, logoutSource: askBeforeSignOut },
  },
  interactions: { url: (context, interaction) => `/sign-in/${interaction.uid}` },
  ttl: { Session: 3600, Interaction: 600, Grant: 3600, AuthorizationCode: 60, IdToken: 300, AccessToken: 300 },
  loadExistingGrant: consentForAll,
  async findAccount(context, login) {
    const person = people[login];
    return person && {
      accountId: login,
      claims: () => ({
        sub: login,
        login,
        name: person.name,
        preferred_username: `${login}@corp.example`,
        email: `${login}@corp.example`,
        email_verified: true,
        groups: person.groups,
      }),
    };
  },
});

async function consentForAll(context) {
  const { client, session, params } = context.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope);
  await grant.save();
  return grant;
}

function askBeforeSignOut(context, form) {
  context.type = 'html';
  context.body = page('Sign out of the provider?',
    `${form}<button name="logout" value="yes" form="op.logoutForm">Sign out of the provider</button>`);
}

function page(title, content) {
  return `<!doctype html><html lang="en"><head><title>${title}</title></head><body><main><h1>${title}</h1>${content}</main></body></html>`;
}

const form = `<form method="post">
  <p><label>User <input name="login" autocomplete="username"></label></p>
  <p><label>Password <input name="password" type="password" autocomplete="current-password"></label></p>
  <p><button>Sign in</button> <button name="cancel" value="yes">Cancel</button></p>
</form>`;

async function signIn(request, response) {
  await provider.interactionDetails(request, response); // throws for a foreign or finished one
  if (request.method === 'POST') {
    let body = '';
    for await (const piece of request) body += piece;
    const fields = new URLSearchParams(body);
    const login = fields.get('login');
    if (fields.has('cancel')) {
      const result = { error: 'access_denied', error_description: 'the person cancelled' };
      return provider.interactionFinished(request, response, result);
    }
    if (Object.hasOwn(people, login) && fields.get('password') === `${login}-password`) {
      return provider.interactionFinished(request, response, { login: { accountId: login } });
    }
    response.statusCode = 401;
  }
  response.setHeader('content-type', 'text/html; charset=utf-8');
  return response.end(page('Sign in at the provider', form));
}

provider.on('server_error', (context, fault) => console.error('server error', fault));
provider.on('grant.success', () => console.log('a code was redeemed'));
provider.on('grant.error', (context, fault) => console.error('token refused', fault.message, fault.error_description));
provider.on('end_session.success', () => console.log('a session was ended'));

const answer = provider.callback();
const tls = { cert: readFileSync(OP_CERT), key: readFileSync(OP_KEY) };
createServer(tls, (request, response) => {
  if (!request.url.startsWith('/sign-in/')) return answer(request, response);
  return signIn(request, response).catch((fault) => {
    response.statusCode = 400;
    response.end(page('This sign-in is over', fault.name));
  });
}).listen(Number(OP_PORT), '127.0.0.1', () => console.log(`ready: ${issuer}`));
