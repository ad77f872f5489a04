# Podlab for classrooms, macOS and Windows: README.md, "In a container".
#
#   docker build --tag podlab .                    labs, book, shell and kubectl
#   docker build --tag podlab --target podlab .    the one binary

FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends busybox-static
WORKDIR /src
COPY . .
RUN cargo build --release --locked && cp target/*/release/podlab podlab && cp /bin/busybox busybox
ARG TARGETARCH
ADD --chmod=755 https://dl.k8s.io/release/v1.32.13/bin/linux/${TARGETARCH}/kubectl kubectl

FROM scratch AS podlab
COPY --from=build /src/podlab /bin/
ENV HOME=/root PATH=/bin PODLAB_DIR=/state/podlab
# Makes the folder, which a few programs expect.
WORKDIR /tmp
# Layers of the engine's own file system cannot be under ours.
VOLUME /state
ENTRYPOINT ["/bin/podlab"]
CMD ["start"]

FROM podlab AS classroom
# The steps of the labs are typed in a shell. This one has its tools within itself.
COPY --from=build /src/busybox /src/kubectl /bin/
COPY --from=build /src/busybox /bin/sh
COPY --from=build /src/book /workbook/book
COPY --from=build /src/labs /workbook/labs
ENV KUBECONFIG=/state/podlab/kubeconfig PODLAB_WORKBOOK=/workbook
