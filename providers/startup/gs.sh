# member JSON NAME prints a member's text.
member() { printf '%s' "$1" | tr -d '\n' | sed -n "s/.*\"$2\" *: *\"\\([^\"]*\\)\".*/\\1/p"; }

# from_gs PATH FILE: with the token of the instance's service account.
from_gs() {
  if [ "$bucket_anonymous" = 1 ]; then
    http GET "$bucket_scheme://$bucket_host$1" "$2"
    return
  fi
  g_token=$(metadata instance/service-accounts/default/token) || { say 'the instance has no service account to read the bucket with'; return 1; }
  g_token=$(member "$g_token" access_token)
  [ -n "$g_token" ] || { say 'the token of the service account cannot be read'; return 1; }
  http GET "$bucket_scheme://$bucket_host$1" "$2" "Authorization: Bearer $g_token"
}
