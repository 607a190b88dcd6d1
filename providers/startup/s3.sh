# member JSON NAME prints a member's text.
member() { printf '%s' "$1" | tr -d '\n' | sed -n "s/.*\"$2\" *: *\"\\([^\"]*\\)\".*/\\1/p"; }

# s3_identity is what the environment has, or else the instance's role.
s3_identity() {
  s3_id=${AWS_ACCESS_KEY_ID:-} s3_secret=${AWS_SECRET_ACCESS_KEY:-} s3_token=${AWS_SESSION_TOKEN:-}
  [ -z "$s3_id" ] || return 0
  [ "$metadata_kind" = ec2 ] || { say 'there are no credentials for the bucket: AWS_ACCESS_KEY_ID is not set, and this is no EC2 instance'; return 1; }
  s3_role=$(metadata iam/security-credentials/) || { say 'the instance has no role (instance profile) to read the bucket with'; return 1; }
  s3_role=${s3_role%%"$nl"*}
  s3_answer=$(metadata "iam/security-credentials/$s3_role") || return 1
  s3_id=$(member "$s3_answer" AccessKeyId)
  s3_secret=$(member "$s3_answer" SecretAccessKey)
  s3_token=$(member "$s3_answer" Token)
  s3_answer=''
  [ -n "$s3_id" ] && [ -n "$s3_secret" ] || { say "the credentials of role $s3_role cannot be read"; return 1; }
}

hex() { od -An -v -tx1 | tr -d ' \n'; }

# masked HEX MASK sets $masked to printf %b escapes of the bytes XOR the mask.
masked() {
  k_left=$1 masked=''
  while [ -n "$k_left" ]; do
    k_rest=${k_left#??}
    k_byte=$((0x${k_left%"$k_rest"} ^ $2))
    masked="$masked\\0$((k_byte / 64))$((k_byte / 8 % 8))$((k_byte % 8))"
    k_left=$k_rest
  done
}

# hmac KEY MESSAGE prints HMAC-SHA256 (RFC 2104); the key and what is printed
# are hexadecimal. Builtins alone see the key.
hmac() {
  k_key=$1
  if [ ${#k_key} -gt 128 ]; then
    masked "$k_key" 0
    k_key=$(printf '%b' "$masked" | sha256)
  fi
  while [ ${#k_key} -lt 128 ]; do k_key=${k_key}00; done
  masked "$k_key" 0x36
  k_inner=$({ printf '%b' "$masked"; printf '%s' "$2"; } | sha256)
  masked "$k_inner" 0
  k_inner=$masked
  masked "$k_key" 0x5c
  { printf '%b' "$masked"; printf '%b' "$k_inner"; } | sha256
}

# from_s3 PATH FILE: signature version 4, in headers.
from_s3() {
  s3_identity || return 1
  s3_region=$bucket_region s3_host=$bucket_host
  [ -n "$s3_region" ] || s3_region=$(metadata placement/region) || { say 'the bucket has no region in its address, and the metadata service tells none'; return 1; }
  if [ "$bucket_aws" = 1 ]; then
    s3_host=${s3_host}s3.$s3_region.amazonaws.com
    case $s3_region in cn-*) s3_host=$s3_host.cn ;; esac
  fi
  s3_date=$(date -u +%Y%m%dT%H%M%SZ)
  s3_day=${s3_date%%T*}
  s3_headers='host;x-amz-content-sha256;x-amz-date'
  s3_canonical="host:$s3_host${nl}x-amz-content-sha256:UNSIGNED-PAYLOAD${nl}x-amz-date:$s3_date"
  if [ -n "$s3_token" ]; then
    s3_headers="$s3_headers;x-amz-security-token"
    s3_canonical="$s3_canonical${nl}x-amz-security-token:$s3_token"
  fi
  s3_hash=$(printf '%s' "GET$nl$1$nl$nl$s3_canonical$nl$nl$s3_headers${nl}UNSIGNED-PAYLOAD" | sha256)
  s3_scope=$s3_day/$s3_region/s3/aws4_request
  s3_key=$(printf '%s' "AWS4$s3_secret" | hex)
  for s3_part in "$s3_day" "$s3_region" s3 aws4_request; do s3_key=$(hmac "$s3_key" "$s3_part"); done
  s3_sign=$(hmac "$s3_key" "AWS4-HMAC-SHA256$nl$s3_date$nl$s3_scope$nl$s3_hash")
  s3_path=$1 s3_file=$2
  set -- "Authorization: AWS4-HMAC-SHA256 Credential=$s3_id/$s3_scope, SignedHeaders=$s3_headers, Signature=$s3_sign" \
    "X-Amz-Date: $s3_date" 'X-Amz-Content-Sha256: UNSIGNED-PAYLOAD'
  [ -z "$s3_token" ] || set -- "$@" "X-Amz-Security-Token: $s3_token"
  http GET "$bucket_scheme://$s3_host$s3_path" "$s3_file" "$@"
}
