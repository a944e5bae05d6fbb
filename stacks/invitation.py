"""The e-mail that invites a person: one link, and the first photo is there."""

SUBJECT = "メニュー写真の分類のお願い / Please help to label menu photos"

# The body of an e-mail; Cognito fills in {username} and {####}, the temporary password.
INVITATION = (
    '<p>メニュー写真の分類にご協力ください。<a href="{address}">ここを開き</a>、メールアドレス {{username}} と'
    "仮パスワード {{####}}（7日間有効）でサインインして、自分のパスワードを決めてください。すぐに始められます。</p>"
    '<p>You are invited to label menu photos. <a href="{address}">Open the page</a>, sign in as {{username}} with the '
    "temporary password {{####}} (valid for 7 days), and choose a password of your own. The first photo is there at "
    "once.</p><p>{address}</p>"
)
