sleep 0.5
echo "$ENVIRONMENT $VERSION end $(date +%s.%N)" >> "$EVIDENCE/releases"
