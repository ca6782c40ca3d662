#!/bin/sh
# Writes the secrets that docker-compose.yml needs into a file, by default .env at the repository's root.
# What is set there already stays as it is. Usage: sh deploy/make-env.sh [file]
set -eu

file=${1:-$(cd "$(dirname "$0")/.." && pwd)/.env}
umask 077

# 32 random bytes as 64 hexadecimal digits: safe in URLs, shells and YAML.
secret() {
    value=$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')
    [ "${#value}" -eq 64 ] || { echo 'make-env: no random bytes to be had from /dev/urandom' >&2; exit 1; }
    printf '%s%s' "$1" "$value"
}

if [ ! -e "$file" ]; then
    printf '# Secrets of this installation, made by deploy/make-env.sh. Keep a copy in a safe place.\n' > "$file"
    echo "Made $file (readable by you only)."
fi
chmod 600 "$file"
# A last line without its line break would run into the first of ours.
[ -z "$(tail -c 1 "$file")" ] || printf '\n' >> "$file"

for name in POSTGRES_PASSWORD REDIS_PASSWORD BELLWIRE_API_KEY BELLWIRE_JWT_SECRET; do
    if grep -q "^$name=." "$file"; then
        echo "$name was set already: left as it is."
        continue
    fi
    prefix=''
    [ "$name" != BELLWIRE_API_KEY ] || prefix=bw_
    value=$(secret "$prefix")
    printf '%s=%s\n' "$name" "$value" >> "$file"
    echo "$name: fresh and random."
done
echo "Next: docker compose up -d --build"
