#!/bin/sh
# Judge one text and print what to do. Needs curl and nothing else.
# Exit code: 0 a decision, 1 none, and what on_error wants is printed, 2 nobody answered.
set -eu
url=${LLM_JUDGE_URL:-http://127.0.0.1:8000}

# The text goes in as a form field of type text/plain, so the shell need not quote it for JSON.
answer=$(printf '%s' "$1" | curl --silent --show-error --max-time 60 \
  --retry 3 --retry-max-time 60 \
  ${LLM_JUDGE_API_KEY:+--header "Authorization: Bearer $LLM_JUDGE_API_KEY"} \
  --form 'file=@-;filename=post.txt;type=text/plain' --form 'options={"explain": "never"}' \
  --write-out '\n%{http_code}' "$url/v1/judge") || exit 2
status=${answer##*
}

# "action" of a decision stands at the top; that of an error in fail_mode. No jq needed for one word.
action=$(printf '%s' "$answer" | sed -n 's/.*"action":"\([a-z_]*\)".*/\1/p' | head -n 1)
if [ "$status" = 200 ]; then
  action=$(printf '%s' "$answer" | sed 's/"undecided".*//' | sed -n 's/.*"action":"\([a-z_]*\)".*/\1/p')
  echo "$action"
else
  echo "no decision ($status); do: ${action:-review}"
  exit 1
fi
