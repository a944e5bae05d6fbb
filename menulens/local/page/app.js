"use strict";

const WAIT_MS = 2000;
const byId = (id) => document.getElementById(id);
let queue = [];
let current = null;
let sending = false;

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

function say(text) {
  byId("message").textContent = text;
}

function showSignIn(text) {
  current = null;
  queue = [];
  byId("task").hidden = true;
  byId("sign-out").hidden = true;
  byId("sign-in").hidden = false;
  say(text);
}

async function next() {
  if (queue.length === 0) {
    try {
      queue = (await call("/api/tasks?limit=5")).tasks;
    } catch (error) {
      if (error.status === 401) {
        showSignIn("");
        return;
      }
      say(error.message);
    }
  }
  byId("sign-in").hidden = true;
  byId("sign-out").hidden = false;
  current = queue.shift() || null;
  byId("task").hidden = current === null;
  if (current === null) {
    say("No photos wait for you now.");
    setTimeout(next, WAIT_MS);
    return;
  }
  say("");
  byId("title").textContent = current.title;
  byId("photo").src = current.photo_url;
  byId("categories").replaceChildren(...current.categories.map((category) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = category;
    button.addEventListener("click", () => answer(category));
    return button;
  }));
}

async function answer(category) {
  if (current === null || sending) {
    return;
  }
  sending = true;
  try {
    await call(`/api/tasks/${encodeURIComponent(current.id)}`, { answer: category });
  } catch (error) {
    if (error.status === 401) {
      showSignIn(error.message);
      return;
    }
    if (error.status !== 404 && error.status !== 409) {
      say(`Not saved: ${error.message} Choose again.`);
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
      say("Choose a new password.");
      return;
    }
    await next();
  } catch (error) {
    say(error.message);
  }
});

byId("sign-out").addEventListener("click", async () => {
  await call("/api/sign-out", {});
  showSignIn("");
});

next();
