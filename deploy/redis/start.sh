#!/bin/sh
# Start Redis or Valkey, whichever the image has, with the password of the secret file.
set -eu
umask 077
{
  cat /etc/promptmill/redis.conf
  printf 'requirepass "%s"\n' "$(cat /run/secrets/redis_password)"
} > /tmp/redis.conf
exec "$(command -v valkey-server || command -v redis-server)" /tmp/redis.conf
