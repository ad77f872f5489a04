# Says whether the API server would take a manifest, and what it answers. Any other trouble is no verdict.
if answer=$(kubectl apply --dry-run=server -f "$1" 2>&1); then
  echo "accepted: $answer"
else
  case "$answer" in
    *"Error from server (BadRequest)"* | *" is invalid: "*) echo "refused: $answer" ;;
    *) echo "$answer" && exit 1 ;;
  esac
fi
