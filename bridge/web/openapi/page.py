"""The reference as one page of HTML (shell): the OpenAPI document with Swagger UI around it, and nothing that is fetched.

Script and styles stand in the page, and its policy names their hashes: what else finds its way in is not run. So one path
is all that has to be let in, and the page works where there is no other network.
"""

import re
from base64 import b64encode
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path
from typing import Final, NamedTuple

# Files of the package alone: to import it reads all that it carries, 9 MB.
_PACKAGE: Final = "offapi"
_SCRIPT: Final = "offapi/swagger_bundle.js"
_STYLE: Final = "offapi/swagger_style.css"

_MARKUP: Final = re.compile("<(!--|/?script)", re.IGNORECASE)

_OWN_SCRIPT: Final = """
SwaggerUIBundle({
  spec: JSON.parse(document.getElementById("document").textContent),
  dom_id: "#reference",
  layout: "BaseLayout",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  displayRequestDuration: true
});
"""
_OWN_STYLE: Final = """
body { margin: 0; background: #fff; }
/* There is one server: the one that served the page. */
.swagger-ui .servers-title, .swagger-ui .servers { display: none; }
.swagger-ui .info { margin: 30px 0; }
@media (max-width: 600px) {
  .swagger-ui .wrapper { padding: 0 10px; }
  .swagger-ui .opblock-tag { flex-wrap: wrap; }
  .swagger-ui .opblock-tag small { flex-basis: 100%; order: 3; padding: 0; }
  .swagger-ui table thead { display: none; }
  .swagger-ui .parameters tr, .swagger-ui .responses-table tr { display: block; }
  .swagger-ui .parameters td, .swagger-ui .responses-table td { display: block; width: auto; padding: 5px 0; }
  .swagger-ui .parameters-col_description input, .swagger-ui .parameters-col_description select { max-width: 100%; }
}
"""
_HTML: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>bridge: HTTP reference</title>
<style>{style}</style>
<style>{own_style}</style>
</head>
<body>
<main id="reference"></main>
<script type="application/json" id="document">{document}</script>
<script>{script}</script>
<script>{own_script}</script>
</body>
</html>
"""


class DocsPage(NamedTuple):
    """Attributes:
    policy: the value of its `Content-Security-Policy`.
    """

    html: bytes
    policy: str


@lru_cache(maxsize=1)
def reference_page(document_json: bytes) -> DocsPage:
    """The page of the OpenAPI document that *document_json* spells, made once."""
    script, style = _carried(_SCRIPT), _carried(_STYLE)
    html = _HTML.format(
        # A data block ends where HTML says so, whatever JSON says.
        document=document_json.decode().replace("<", "\\u003c"),
        script=script,
        style=style,
        own_script=_OWN_SCRIPT,
        own_style=_OWN_STYLE,
    )
    policy = (
        "default-src 'none'",
        f"script-src {_sources((script, _OWN_SCRIPT))}",
        f"style-src {_sources((style, _OWN_STYLE))}",
        # The icons of its styles.
        "img-src data:",
        # What a reader tries out.
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return DocsPage(html.encode(), "; ".join(policy))


def _carried(name: str) -> str:
    text = Path(str(distribution(_PACKAGE).locate_file(name))).read_text(encoding="utf-8")
    # As HTML asks for (section 4.12.1.3): in texts and expressions, where alone they are, this means the same.
    return _MARKUP.sub(r"\\x3c\1", text)


def _sources(texts: Iterable[str]) -> str:
    return " ".join(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts)
