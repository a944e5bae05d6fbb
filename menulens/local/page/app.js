"use strict";

const WAIT_MS = 2000;
const byId = (id) => document.getElementById(id);
let queue = [];
let current = null;
let sending = false;
let waiting = 0;
let done = 0;

async function call(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(path, { credentials: "same-origin", ...options });
  const answer = await response.json();
  if (!response.ok) {
    const error = new Error(answer.error || response.statusText);
    error.status = response.status;
    throw error;
  }
  return answer;
}

function say(text, bad = false) {
  byId("message").textContent = text;
  byId("message").classList.toggle("bad", bad);
}

function showSignIn(text) {
  current = null;
  queue = [];
  clearTimeout(waiting);
  byId("task").hidden = true;
  byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  byId("new-password").hidden = true;
  byId("sign-in").reset();
  say(text);
}

async function next() {
  clearTimeout(waiting);
  if (queue.length === 0) {
    try {
      queue = (await call("/api/tasks?limit=5")).tasks;
    } catch (error) {
      if (error.status === 401) {
        showSignIn("");
        return;
      }
      byId("task").hidden = true;
      say(`The page can't be reached now (${error.message}). It tries again by itself.`, true);
      waiting = setTimeout(next, WAIT_MS);
      return;
    }
  }
  byId("sign-in").hidden = true;
  byId("sign-out").hidden = false;
  current = queue.shift() || null;
  byId("task").hidden = current === null;
  if (current === null) {
    say("No photos wait for you now. New ones appear here by themselves.");
    waiting = setTimeout(next, WAIT_MS);
    return;
  }
  say("");
  show(current);
}

function show(task) {
  byId("title").textContent = task.title;
  byId("photo").src = task.photo_url;
  byId("progress").textContent = done === 0 ? "" : `You have answered ${done} since you came in.`;
  byId("categories").replaceChildren(...task.categories.map((category, place) => {
    const button = document.createElement("button");
    button.type = "button";
    if (place < 9) {
      const key = document.createElement("kbd");
      key.textContent = String(place + 1);
      key.setAttribute("aria-hidden", "true");
      button.setAttribute("aria-keyshortcuts", key.textContent);
      button.append(key);
    }
    button.append(category);
    button.addEventListener("click", () => answer(category, button));
    return button;
  }));
  if (queue.length > 0) {
    new Image().src = queue[0].photo_url; // the next photo is there when it is asked about
  }
}

async function answer(category, button) {
  if (current === null || sending) {
    return;
  }
  sending = true;
  button.classList.add("chosen");
  try {
    await call(`/api/tasks/${encodeURIComponent(current.id)}`, { answer: category });
    done += 1;
  } catch (error) {
    if (error.status === 401) {
      showSignIn(error.message);
      return;
    }
    if (error.status !== 404 && error.status !== 409) {
      button.classList.remove("chosen");
      say(`Not saved: ${error.message} Choose again.`, true);
      return;
    }
  } finally {
    sending = false;
  }
  await next();
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const body = { username: form.get("username"), password: form.get("password") };
  if (form.get("new_password")) {
    body.new_password = form.get("new_password");
  }
  try {
    const answered = await call("/api/sign-in", body);
    if (answered.challenge) {
      byId("new-password").hidden = false;
      event.target.elements.new_password.focus();
      say("You are in for the first time: choose a password of your own.");
      return;
    }
    done = 0;
    await next();
  } catch (error) {
    say(error.message, true);
  }
});

document.addEventListener("keydown", (event) => {
  const button = byId("categories").children[Number(event.key) - 1];
  if (button && !byId("task").hidden && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey) {
    button.click();
  }
});

byId("sign-out").addEventListener("click", async () => {
  try {
    await call("/api/sign-out", {});
    showSignIn("");
  } catch (error) {
    say(error.message, true);
  }
});

next();
