"""The pages of the local cloud's hosted sign-in: plain forms, every value escaped, no script."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import quote

from menulens.local.hosted_sign_in import Flow, SignInError, Stage

LANGUAGES = ("ja", "en")
CSS = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { width: min(24rem, 100vw - 2rem); padding: 1rem 0; }
h1 { font-size: 1.4rem; }
label { display: block; margin: .8rem 0 .2rem; }
input, button { box-sizing: border-box; width: 100%; min-height: 48px; padding: .5rem .75rem; font: inherit; border-radius: .5rem; }
input { border: 1px solid GrayText; }
button { margin-top: 1.2rem; border: 0; background: #0b57d0; color: #fff; font-weight: 600; }
button:focus-visible, input:focus-visible, a:focus-visible { outline: 3px solid #f29900; outline-offset: 2px; }
.error { padding: .6rem .8rem; border-left: 4px solid #d93025; background: #d930251a; }
.notice { padding: .6rem .8rem; border-left: 4px solid #188038; background: #1880381a; }
code { word-break: break-all; font-size: 1.1rem; }
""".strip()  # noqa: E501 (a style sheet)

_TEXT: dict[str, tuple[str, str]] = {
    "sign_in": ("サインイン", "Sign in"),
    "username": ("メールアドレス", "E-mail address"),
    "password": ("パスワード", "Password"),
    "forgot_link": ("パスワードを忘れた方", "Forgot your password?"),
    "back": ("サインインに戻る", "Back to sign-in"),
    "choose": ("新しいパスワードを決める", "Choose a new password"),
    "new_password": ("新しいパスワード", "New password"),
    "confirm_password": ("新しいパスワード(確認)", "New password once more"),
    "save": ("保存", "Save"),
    "second": ("認証コード", "Authentication code"),
    "code": ("認証アプリの6桁のコード", "The 6 digits of your authenticator app"),
    "next": ("次へ", "Next"),
    "enrol": ("認証アプリを登録", "Set up an authenticator app"),
    "enrol_how": ("認証アプリに次のキーを入れてください", "Enter this key in your authenticator app"),
    "enrol_open": ("この端末の認証アプリで開く", "Open in this device's authenticator app"),
    "forgot": ("パスワードを忘れた方", "Forgot your password"),
    "send": ("コードを送る", "Send a code"),
    "reset_code": ("メールに書かれた6桁のコード", "The 6 digits in the e-mail"),
    "expired_title": ("もう一度サインインしてください", "Please sign in again"),
    "to_page": ("ページへ", "To the page"),
    # what a refused step says
    "wrong_password": ("メールアドレスかパスワードが違います。", "Incorrect e-mail address or password."),
    "wrong_code": ("コードが違うか、期限が切れています。", "The code is wrong or too old."),
    "passwords_differ": ("二つのパスワードが違います。", "The two passwords differ."),
    "weak_password": ("パスワードが条件を満たしていません:", "This password is not strong enough:"),
    "locked": ("間違いが続いたので待ってください。秒数:", "Too many attempts. Wait this many seconds:"),
    "reset_due": ("パスワードの再設定が必要です。", "Your password must be reset."),
    "expired": ("このサインインは時間切れです。", "This sign-in has run out of time."),
    "unknown_client": ("このアプリは登録されていません。", "This application is not known here."),
    "unknown_challenge": ("この方法には対応していません:", "This way to sign in is not known here:"),
    # what a taken step says
    "code_sent": (
        "登録があれば、コードをメールで送りました。",
        "If there is such an account, a code is on its way to its mailbox.",
    ),
    "password_changed": ("パスワードを変えました。サインインしてください。", "Password changed. Please sign in."),
}


def language_of(asked: str, accept_language: str) -> str:
    """Return ``ja`` or ``en``: what the application asks (``lang``), or what the browser prefers."""
    for wish in (asked, *(part.partition(";")[0] for part in accept_language.split(","))):
        if (short := wish.strip().lower()[:2]) in LANGUAGES:
            return short
    return "en"


def page(flow: Flow, error: SignInError | None = None) -> str:
    """Return the page that is due in a flow."""
    forms: dict[Stage, tuple[str, str]] = {
        "password": ("sign_in", _sign_in(flow)),
        "new_password": ("choose", _form(flow, "save", _new_password(flow))),
        "totp": ("second", _form(flow, "next", _field(flow, "code", "text", "one-time-code", numeric=True))),
        "enrol": ("enrol", _enrol(flow)),
        "forgot": ("forgot", _form(flow, "send", _username(flow)) + _back(flow)),
        "reset": (
            "choose",
            _form(
                flow,
                "save",
                _field(flow, "code", "text", "one-time-code", numeric=True, label="reset_code") + _new_password(flow),
            )
            + _back(flow),
        ),
    }
    title, form = forms[flow.stage]
    said = _paragraph(flow.language, "notice", flow.notice) if flow.notice else ""
    if error is not None:
        said = _paragraph(flow.language, "error", error.reason, error.detail)
    return _document(flow.language, title, said + form)


def failure_page(language: str, error: SignInError) -> str:
    """Return a page without a flow: it ran out of time, or never was."""
    link = f'<p><a href="/">{_say(language, "to_page")}</a></p>'
    return _document(language, "expired_title", _paragraph(language, "error", error.reason, error.detail) + link)


def _say(language: str, key: str) -> str:
    return escape(_TEXT[key][LANGUAGES.index(language)])


def _document(language: str, title: str, body: str) -> str:
    heading = _say(language, title)
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{heading} – menulens</title><link rel="stylesheet" href="/sign-in.css">'
        f"<main><h1>{heading}</h1>{body}</main></html>"
    )


def _paragraph(language: str, kind: str, key: str, detail: str = "") -> str:
    role = "alert" if kind == "error" else "status"
    return f'<p class="{kind}" role="{role}">{_say(language, key)} {escape(detail)}</p>'


def _form(flow: Flow, button: str, fields: str) -> str:
    hidden = f'<input type="hidden" name="flow" value="{escape(flow.id)}">'
    return (
        f'<form method="post" action="/login">{hidden}{fields}'
        f'<button type="submit">{_say(flow.language, button)}</button></form>'
    )


def _field(
    flow: Flow, name: str, kind: str, complete: str, *, numeric: bool = False, label: str = "", value: str = ""
) -> str:
    options: Mapping[str, str] = {
        "type": kind,
        "id": name,
        "name": name,
        "autocomplete": complete,
        **({"inputmode": "numeric"} if numeric else {}),
        **({"value": value} if value else {}),
    }
    attributes = " ".join(f'{key}="{escape(text)}"' for key, text in options.items())
    return f'<label for="{name}">{_say(flow.language, label or name)}</label><input {attributes} required>'


def _username(flow: Flow) -> str:
    return _field(flow, "username", "text", "username", value=flow.username)


def _new_password(flow: Flow) -> str:
    return _field(flow, "new_password", "password", "new-password") + _field(
        flow, "confirm_password", "password", "new-password"
    )


def _sign_in(flow: Flow) -> str:
    fields = _username(flow) + _field(flow, "password", "password", "current-password")
    link = f'<p><a href="/forgotPassword?flow={quote(flow.id)}">{_say(flow.language, "forgot_link")}</a></p>'
    return _form(flow, "sign_in", fields) + link


def _back(flow: Flow) -> str:
    return f'<p><a href="/login?flow={quote(flow.id)}">{_say(flow.language, "back")}</a></p>'


def _enrol(flow: Flow) -> str:
    uri = f"otpauth://totp/menulens:{quote(flow.username)}?secret={flow.secret}&issuer=menulens"
    how = (
        f"<p>{_say(flow.language, 'enrol_how')}:<br><code>{escape(flow.secret)}</code></p>"
        f'<p><a href="{escape(uri)}">{_say(flow.language, "enrol_open")}</a></p>'
    )
    return how + _form(flow, "next", _field(flow, "code", "text", "one-time-code", numeric=True))
