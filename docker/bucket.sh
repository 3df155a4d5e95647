#!/bin/sh
# Makes the bucket and copies the demo's embeddings into it; where both are there it changes nothing.
set -eu
mc alias set store "$AWS_ENDPOINT_URL" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >/dev/null
mc mb --ignore-existing "store/${CDP_BUCKET:-cdp}"
mc mirror --overwrite "${CDP_GLYPHS:-/glyphs}" "store/${CDP_BUCKET:-cdp}/glyphs"
