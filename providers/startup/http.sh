say() { printf 'spotrelay: %s\n' "$*" >&2; }
nl='
'

# Both clients read the address and the headers from standard input, so that no
# secret stands on a command line. direct=1 passes proxies by.
if command -v curl >/dev/null 2>&1; then
  client() {
    curl -q -g -sS -X "$1" -o "$2" -w '\n%{http_code}' ${direct:+--noproxy '*'} \
      --connect-timeout 5 --speed-limit 1 --speed-time 30 --max-time 900 -K -
  }
else
  client() {
    python3 -c '
import os, re, shutil, sys, urllib.request as u
method, path = sys.argv[1:]
url, *headers = [re.sub(r"\\(.)", r"\1", l.split(" = ", 1)[1].strip()[1:-1]) for l in sys.stdin]
r = u.Request(url, None if method in ("GET", "DELETE") else b"", dict(re.split(": *", h, maxsplit=1) for h in headers), method=method)
try:
    a = u.build_opener(u.ProxyHandler(*[{}] * ("direct" in os.environ))).open(r, timeout=30)
except u.HTTPError as e:
    a = e
except Exception as e:
    sys.exit("%s: %s" % (url, e))
with os.fdopen(os.dup(1), "wb") if path == "-" else open(path, "wb") as out:
    shutil.copyfileobj(a, out)
sys.stdout.write("\n%d" % a.code)
' "$1" "$2"
  }
fi

# http METHOD URL FILE [HEADER...] puts the body of an answer 2xx into FILE, or
# prints it for -; anything else is said and fails.
http() {
  h_method=$1 h_url=$2 h_file=$3
  shift 3
  h_answer=$({
    printf 'url = "%s"\n' "$h_url"
    for h_header in "$@"; do
      printf 'header = "%s"\n' "$(printf '%s' "$h_header" | sed 's/[\\"]/\\&/g')"
    done
  } | client "$h_method" "$h_file") || { say "$h_method $h_url could not be asked"; return 1; }
  h_code=${h_answer##*"$nl"}
  h_body=${h_answer%"$nl"*}
  case $h_code in
  2??)
    [ "$h_file" != - ] || printf '%s' "$h_body"
    return 0
    ;;
  esac
  [ "$h_file" = - ] || h_body=$(head -c 400 "$h_file" 2>/dev/null)
  say "$h_method $h_url answered $h_code: $(printf '%.400s' "$h_body" | tr '\n' ' ')"
  return 1
}
