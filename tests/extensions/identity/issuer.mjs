// A certified OpenID Connect provider on loopback, with its own login and consent pages.
// ISSUER_PACKAGE: the package's index.js; ISSUER_CONFIG: JSON {clients, accounts: {subject: claims}}, where a
// subject is what one types to log in. Prints its issuer.
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const { default: Provider } = await import(pathToFileURL(process.env.ISSUER_PACKAGE));
const { clients, accounts } = JSON.parse(process.env.ISSUER_CONFIG);

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients,
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', 'groups'],
      email: ['email', 'email_verified'],
    },
    features: { devInteractions: { enabled: true } },
    findAccount: (_, sub) => accounts[sub] && { accountId: sub, claims: () => ({ sub, ...accounts[sub] }) },
    cookies: { keys: ['of the test'] },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
