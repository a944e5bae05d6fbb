// Calls of the API: bearer token, one renewal on 401, patience on 429, and errors that tell apart what a person can do.

import { accessToken, SignInNeededError } from "./auth.js";
import { knows, t } from "./i18n.js";

const PATIENCE = 20_000; // milliseconds until a silent network counts as none

/** The server said no. `code` is the contract's error code; `share` tells how far a count is that is under way, 0 to 1. */
export class ApiError extends Error {
  constructor(status, code, message, share = null) {
    super(message);
    this.name = "ApiError";
    Object.assign(this, { status, code, share });
  }
}

/** The server could not be reached, or it failed: the same request may work later. `wait` is in milliseconds. */
export class UnreachableError extends Error {
  constructor(message, wait = 0) {
    super(message);
    this.name = "UnreachableError";
    this.wait = wait;
  }
}

export const get = (path) => json("GET", path);
export const post = (path, body = {}) => json("POST", path, body);
export const put = (path, body = {}) => json("PUT", path, body);
export const patch = (path, body = {}) => json("PATCH", path, body);
export const remove = (path, body) => json("DELETE", path, body);

/** Call with another token than the one that the person labels with; it can't be renewed. */
export async function withToken(token, method, path, body) {
  return read(await judged(await send(method, path, body, token), method, path));
}

/** Fetch a photo: an image can't carry a token by itself. */
export async function photo(path, signal) {
  return (await request("GET", path, undefined, signal)).blob();
}

async function json(method, path, body) {
  return read(await request(method, path, body));
}

async function read(answer) {
  const text = await answer.text();
  return text ? JSON.parse(text) : {};
}

/** Say what went wrong and what to do, in the reader's language. */
export function explain(error) {
  if (error instanceof SignInNeededError) return t("error.sign_in");
  if (error instanceof UnreachableError || error instanceof TypeError) return t("error.unreachable");
  if (error instanceof ApiError && error.code && knows(`error.${error.code}`)) return t(`error.${error.code}`);
  if (error instanceof ApiError && error.status === 403) return t("error.forbidden");
  return t("error.unexpected", { message: error.message });
}

async function request(method, path, body, signal) {
  const token = await accessTokenOnline();
  let answer = await send(method, path, body, token, signal);
  if (answer.status === 401) answer = await send(method, path, body, await accessTokenOnline(token), signal);
  return judged(answer, method, path);
}

/** Return an answer that is good; throw what went wrong otherwise. */
async function judged(answer, method, path) {
  if (answer.ok) return answer;
  const wait = 1000 * Number(answer.headers.get("retry-after") ?? 0);
  const told = (await answer.json().catch(() => ({}))) ?? {};
  const message = told.error?.message ?? told.message ?? `${method} ${path} answered ${answer.status}`;
  if (answer.status === 401) throw new SignInNeededError(message);
  if (answer.status === 429 || answer.status >= 500) throw new UnreachableError(message, wait);
  throw new ApiError(answer.status, told.error?.code ?? null, message, told.error?.share);
}

async function accessTokenOnline(refused) {
  try {
    return await accessToken(refused);
  } catch (error) {
    if (error instanceof SignInNeededError) throw error;
    throw new UnreachableError(error.message);
  }
}

async function send(method, path, body, token, signal) {
  const headers = { authorization: `Bearer ${token}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  const late = AbortSignal.timeout(PATIENCE);
  try {
    return await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal && AbortSignal.any ? AbortSignal.any([signal, late]) : late,
      credentials: "omit",
      keepalive: method !== "GET" && (body === undefined || JSON.stringify(body).length < 60_000),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new UnreachableError(error.message);
  }
}
