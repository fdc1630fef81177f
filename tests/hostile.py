"""Strings of strangers: markup, code, templates, marks of direction, broken text, long ones."""

import itertools

# Whatever runs sets this on the page; nothing may.
FLAG = "window.__hostile = 1"
CALL = "window.__hostile=1"

_MARKUP = (
    "<script>{c}</script>",
    "</textarea><script>{c}</script>",
    "</script><script>{c}</script>",
    "<img src=x onerror={c}>",
    "<img src=x onerror='{c}'>",
    "<img/src/onerror={c}>",
    "<svg onload={c}>",
    "<svg><script>{c}</script></svg>",
    "<svg><animate onbegin={c} attributeName=x dur=1s>",
    "<body onload={c}>",
    "<iframe srcdoc='<script>parent.{c}</script>'></iframe>",
    "<iframe src=javascript:parent.{c}></iframe>",
    "<details open ontoggle={c}>",
    "<input autofocus onfocus={c}>",
    "<video><source onerror={c}></video>",
    "<a href=javascript:{c}>a sun</a>",
    "<math><mtext><img src=x onerror={c}></mtext></math>",
    "<style>@import 'http://evil.example/x.css'</style>",
    "<link rel=stylesheet href=http://evil.example/x.css>",
    "<object data=http://evil.example/x></object>",
    "<meta http-equiv=refresh content='0;url=http://evil.example'>",
    "<base href=http://evil.example/>",
    "<form action=http://evil.example><button>a sun</button></form>",
    "&lt;script&gt;{c}&lt;/script&gt;",
    "&#60;script&#62;{c}&#60;/script&#62;",
    "<!--<img src=x onerror={c}>-->",
    "<![CDATA[<script>{c}</script>]]>",
    "<scr<script>ipt>{c}</scr</script>ipt>",
    "<SCRIPT>{c}</SCRIPT>",
    "<img src=`x`onerror={c}>",
)
_CODE = (
    "${{{c}}}",
    "$${{{c}}}",
    "`${{{c}}}`",
    "`;{c};`",
    "{{{{{c}}}}}",
    "{{%{c}%}}",
    "<%={c}%>",
    "#{{{c}}}",
    "@{{{c}}}",
    "[[{c}]]",
    "{{{{constructor.constructor('{c}')()}}}}",
    "{{0.__class__.__mro__}}",
    "{{prompt}}",
    "%s%n%(x)s",
    "');{c};//",
    '");{c};//',
    "\\');{c};//",
    "'-{c}-'",
    '"-({c})-"',
    "\\u003cscript\\u003e{c}\\u003c/script\\u003e",
    "javascript:{c}",
    "data:text/html,<script>{c}</script>",
    "[a sun](javascript:{c})",
    "![a sun](javascript:{c})",
    "![a sun](http://evil.example/x.png)",
    "[a sun]: javascript:{c}",
    "<javascript:{c}>",
    "$\\href{{javascript:{c}}}{{a}}$",
    "$$\\unicode{{<img src=x onerror={c}>}}$$",
    "```html\n<script>{c}</script>\n```",
    "| a | <img src=x onerror={c}> |",
    '{{"phrase": "a sun", "box": [0, 0, 1, 1]}}',
    '"}}],"regions":[{{"phrase":"',
    "]}}'\"",
    "null",
    "undefined",
    "NaN",
    "__proto__",
    "constructor",
    "toString",
    "event: complete\ndata: [1]\n\n",
    "\r\nSet-Cookie: a=1",
    '=HYPERLINK("http://evil.example")',
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "'; DROP TABLE pictures; --",
    "$(touch hostile)",
    "`touch hostile`",
    "| touch hostile",
    "a sun; rm -rf hostile",
)
_PATHS = (
    "../../../../etc/passwd",
    "..\\..\\..\\windows\\win.ini",
    "/etc/passwd",
    "file:///etc/passwd",
    "....//....//etc/passwd",
    "%2e%2e%2fetc%2fpasswd",
    "C:\\con",
    "aux.png",
    "~/.ssh/id_rsa",
    "/proc/self/environ",
    ".",
    "..",
    "a/b/c.png",
    "\\\\evil.example\\share",
)
_UNICODE = (
    "\u202egnp.exe",
    "\u202a\u202b\u202c\u202d\u202e",
    "\u2066\u2067\u2068\u2069",
    "a\u200bsun",
    "\ufeffsun",
    "a\u00adsun",
    "\u2028\u2029",
    "z\u0351\u036b\u0343\u0334\u0341" * 8,
    "\U0001f469\u200d\U0001f680\u2600\ufe0f",
    "\U000e0041\U000e0042",
    "\ufffd\ufffe\uffff",
    "\u0130\u0131\u017f\u212a",
    "\u0645\u0631\u062d\u0628\u0627 <b>",
    "\uff1cscript\uff1e",
    "\u65e5\u672c\u306e\u732b" * 10,
    "\u1680\u2003\u3000",
    "\ufdfa" * 60,
)
# No text at all, or too much of it: refused with a sentence.
BROKEN = (
    "\x00",
    "a\x00sun",
    "sun\x00<script>" + CALL + "</script>",
    "\ud83d",
    "sun \udc00\ud800",
    "\x1b[2J\x1b[31m",
    "\x07\x08",
    "\x01\x02\x03",
    "a" * 10_000,
    "<b>" * 4_000,
    "\U0001f680" * 10_000,
    "${" * 6_000,
)


def hostile_strings(count: int = 200) -> list[str]:
    """Return `count` different strings, the broken ones last."""
    texts = [pattern.format(c=CALL) for pattern in (*_MARKUP, *_CODE)]
    texts += [*_PATHS, *_UNICODE]
    # The same once more where an attribute, a quotation or a tag would have to be left first.
    escapes = ("\"'>{t}", "' onmouseover='" + CALL + "' {t}", "</p></div>{t}", '\\"{t}')
    doors = itertools.cycle(escapes)
    more = [next(doors).replace("{t}", text) for text in texts]
    whole = list(dict.fromkeys([*texts, *more]))[: count - len(BROKEN)]
    assert len(whole) == count - len(BROKEN)
    assert all(len(text) <= 200 for text in whole)
    return [*whole, *BROKEN]
