# sh on.sh 1|2          make the Pod anew, on the first or the second node
# sh on.sh write        write a page to both folders
# sh on.sh read FOLDER  kept or gone: what became of the page
set -e
case $1 in
    write) kubectl exec diary -- touch /scratch/page /disk/page ;;
    read) kubectl exec diary -- sh -c "test -e $2/page && echo kept || echo gone" ;;
    *)
        node=$(kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}' | sort | sed -n "$1p")
        kubectl delete pod diary --now --ignore-not-found
        sed "s/^spec:/&\n  nodeName: $node/" diary.yaml | kubectl apply -f -
        kubectl wait --for=condition=Ready pod/diary --timeout=60s
        ;;
esac
