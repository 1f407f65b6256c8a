#!/bin/sh
# Make ./secrets for docker-compose.yml: passwords by chance, and an empty file for each key.
# Run it once at the top of the checkout, then write your keys into secrets/*_api_key.
# What exists already is left alone.
set -eu

# Nobody else enters the folder. The files in it can be read by all, since the containers run as
# other users and see the files, not the folder.
mkdir -p -m 700 secrets
chmod 700 secrets

secret() {
  [ -e "secrets/$1" ] || printf '%s' "$2" > "secrets/$1"
  chmod 444 "secrets/$1"
}

random() {
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

secret database_password "$(random)"
secret redis_password "$(random)"
secret flower_basic_auth "promptmill:$(random)"
secret grafana_password "$(random)"
for provider in openai anthropic gemini; do
  secret "${provider}_api_key" ""
  chmod 644 "secrets/${provider}_api_key"
done
