// Sign-in: authorization code with PKCE against the hosted sign-in that config.json names. No password passes here.

const TOKENS = "menulens.session";
const PENDING = "menulens.sign-in";
const ACCOUNT = "menulens.account";
const ACCOUNT_SCOPE = "aws.cognito.signin.user.admin";
const EARLY = 60_000; // renew a minute before the access token ends

/** Nobody is signed in, or the sign-in ended: the person has to sign in again. */
export class SignInNeededError extends Error {
  constructor(message = "sign in first") {
    super(message);
    this.name = "SignInNeededError";
  }
}

let configuration;

/** Read config.json, once: {region, client_id, issuer, sign_in, api, version}. */
export function config() {
  configuration ??= fetch("/config.json", { cache: "no-cache" })
    .then((answer) => {
      if (!answer.ok) throw new Error(`/config.json answered ${answer.status}`);
      return answer.json();
    })
    .catch((error) => {
      configuration = undefined;
      throw error;
    });
  return configuration;
}

/** Return who is signed in: {id, name, username, groups}; null when nobody is. The server checks; this only shows. */
export function person() {
  const tokens = read();
  if (!tokens) return null;
  const claims = claimsOf(tokens.access_token);
  const username = claims.username ?? claims.sub;
  return { id: claims.sub, name: tokens.name ?? username, username, groups: claims["cognito:groups"] ?? [] };
}

/** Leave for the hosted sign-in; after it the person is back at `returnTo`. */
export function signIn(returnTo = location.pathname + location.search) {
  return leaveToSignIn(returnTo, "openid email");
}

/**
 * Leave for the hosted sign-in once more, to be allowed to change how one signs in. What comes of it is a token of its
 * own (`accountToken`), for this tab and this purpose: the one that labels never may as much.
 */
export function confirmAccount(returnTo = location.pathname) {
  return leaveToSignIn(returnTo, `openid email ${ACCOUNT_SCOPE}`, true);
}

async function leaveToSignIn(returnTo, scope, account = false) {
  const { sign_in: base, client_id: client } = await config();
  const verifier = random(48);
  const state = random(16);
  sessionStorage.setItem(PENDING, JSON.stringify({ state, verifier, returnTo, account }));
  const challenge = base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
  location.assign(`${base}/oauth2/authorize?${new URLSearchParams({
    response_type: "code",
    client_id: client,
    redirect_uri: redirectUri(),
    scope,
    state,
    code_challenge: challenge,
    code_challenge_method: "S256",
    lang: document.documentElement.lang,
  })}`);
}

/**
 * Finish a sign-in if the address holds its answer; the place that the person wanted is in the address afterwards.
 *
 * @returns {Promise<boolean>} whether that place is another page, which is being opened now: this one does no more
 */
export async function finishSignIn() {
  const answer = new URLSearchParams(location.search);
  if (!answer.has("state") || !(answer.has("code") || answer.has("error"))) return false;
  const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "null");
  sessionStorage.removeItem(PENDING);
  const returnTo = pending?.returnTo?.startsWith("/") && !pending.returnTo.startsWith("//") ? pending.returnTo : "/";
  history.replaceState(null, "", returnTo);
  if (!pending || pending.state !== answer.get("state")) {
    // An old address opened again: who is signed in stays so.
    if (!person()) throw new SignInNeededError("this sign-in was not started here");
  } else if (answer.has("error")) {
    throw new SignInNeededError(answer.get("error_description") ?? answer.get("error"));
  } else {
    const given = await token({ grant_type: "authorization_code", code: answer.get("code"), redirect_uri: redirectUri(), code_verifier: pending.verifier });
    if (pending.account) keepForAccount(given);
    else keep(given);
  }
  const elsewhere = location.pathname !== "/";
  if (elsewhere) location.replace(returnTo);
  return elsewhere;
}

/**
 * Return an access token that is still good, renewed when needed. Tabs renew one after the other.
 *
 * @param {string} [refused] a token that the server no longer takes
 */
export async function accessToken(refused) {
  const good = () => {
    const tokens = read();
    if (!tokens) throw new SignInNeededError();
    return tokens.access_token !== refused && tokens.ends - EARLY > Date.now() ? tokens.access_token : null;
  };
  return good() ?? alone("menulens-sign-in", async () => good() ?? renew());
}

/** Return the token that may change how one signs in; null without one. */
export function accountToken() {
  const kept = JSON.parse(sessionStorage.getItem(ACCOUNT) ?? "null");
  return kept && kept.ends > Date.now() ? kept.access_token : null;
}

/** Give that token back: it is good for one change. */
export async function endAccount() {
  const kept = JSON.parse(sessionStorage.getItem(ACCOUNT) ?? "null");
  sessionStorage.removeItem(ACCOUNT);
  await revoke(kept?.refresh_token);
}

/** Forget the tokens, tell the sign-in service, and leave for the page that it shows. */
export async function signOut() {
  const tokens = read();
  const { sign_in: base, client_id: client } = await config();
  localStorage.removeItem(TOKENS);
  await endAccount();
  await revoke(tokens?.refresh_token);
  location.assign(`${base}/logout?${new URLSearchParams({ client_id: client, logout_uri: redirectUri() })}`);
}

/** Tell the sign-in service that a token is good no more. */
async function revoke(refresh) {
  if (!refresh) return;
  const { sign_in: base, client_id: client } = await config();
  await fetch(`${base}/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token: refresh, client_id: client }) })
    .catch(() => {}); // offline: the token is gone from this device, which is what was asked
}

async function renew() {
  const { refresh_token: refresh, name } = read();
  try {
    keep({ refresh_token: refresh, name, ...(await token({ grant_type: "refresh_token", refresh_token: refresh })) });
  } catch (error) {
    if (error instanceof SignInNeededError) localStorage.removeItem(TOKENS);
    throw error;
  }
  return read().access_token;
}

/** Ask the token endpoint; a refusal means that the person must sign in again, anything else that the network is away. */
async function token(fields) {
  const { sign_in: base, client_id: client } = await config();
  const answer = await fetch(`${base}/oauth2/token`, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ client_id: client, ...fields }),
  });
  if (answer.status === 400 || answer.status === 401) throw new SignInNeededError("the sign-in has ended");
  if (!answer.ok) throw new TypeError(`the sign-in service answered ${answer.status}`);
  return answer.json();
}

/** Keep the tokens; of the ID token only the address, since an access token has none. */
function keep({ access_token, refresh_token, id_token, name, expires_in }) {
  const address = id_token ? claimsOf(id_token).email : name;
  localStorage.setItem(TOKENS, JSON.stringify({ access_token, refresh_token, name: address, ends: Date.now() + expires_in * 1000 }));
}

/** Keep the token that may change how one signs in, for this tab; it has to be the same person's. */
function keepForAccount({ access_token, refresh_token, expires_in }) {
  if (claimsOf(access_token).sub !== person()?.id) {
    revoke(refresh_token);
    throw new SignInNeededError("somebody else signed in");
  }
  sessionStorage.setItem(ACCOUNT, JSON.stringify({ access_token, refresh_token, ends: Date.now() + expires_in * 1000 }));
}

function read() {
  return JSON.parse(localStorage.getItem(TOKENS) ?? "null");
}

function redirectUri() {
  return `${location.origin}/`;
}

/** Run something while no other tab runs the same. */
export function alone(name, task) {
  return navigator.locks ? navigator.locks.request(name, task) : task();
}

function claimsOf(token) {
  const bytes = Uint8Array.from(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

function random(bytes) {
  return base64url(crypto.getRandomValues(new Uint8Array(bytes)));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
