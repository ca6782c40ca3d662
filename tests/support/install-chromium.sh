#!/bin/sh
# See to it that there is a Chromium for the browser tests (the same names as tests/support/browser.py).
set -eu

for name in ${CHROMIUM:-chromium chromium-browser google-chrome google-chrome-stable}; do
  if command -v "$name" >/dev/null 2>&1; then
    exit 0
  fi
done

if [ -z "${CHROMIUM:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo 'Installing chromium with apt-get …'
  if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium \
    && command -v chromium >/dev/null 2>&1; then
    exit 0
  fi
fi

cat >&2 <<'MESSAGE'
The browser tests need Chromium, and none was found. Install it, then run this again:
  Debian         apt-get install chromium
  Ubuntu         snap install chromium
  Fedora         dnf install chromium
  macOS          brew install --cask chromium
or name one that you have: CHROMIUM=/path/to/chrome make test
REQUIRE_SERVICES=0 make test skips them.
MESSAGE
[ "${REQUIRE_SERVICES:-1}" = 0 ] || exit 1
