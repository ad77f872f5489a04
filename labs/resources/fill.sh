# Five Pods, each asking for 23 % of the node's cores.
cores=$(kubectl get node -o jsonpath='{.items[0].status.allocatable.cpu}')
case $cores in *m) milli=${cores%m};; *) milli=$((cores * 1000));; esac
for n in 1 2 3 4 5; do
  kubectl run fill-$n --image=busybox:1.36 --overrides="{\"spec\": {\"terminationGracePeriodSeconds\": 1, \"containers\": [{
    \"name\": \"fill\", \"image\": \"busybox:1.36\", \"command\": [\"sleep\", \"3600\"],
    \"resources\": {\"requests\": {\"cpu\": \"$((milli * 23 / 100))m\"}}}]}}"
  [ $n = 5 ] || kubectl wait --for=condition=PodScheduled pod/fill-$n --timeout=30s > /dev/null
done
