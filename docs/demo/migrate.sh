echo "$ENVIRONMENT $VERSION begin $(date +%s.%N)" >> "$EVIDENCE/releases"
sleep 1
test "$VERSION" != 1.0 || { echo "cannot add column users.email: it exists" >&2; exit 1; }
