package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// operatorContainer is the name that the operator's container has wherever it
// is installed.
const operatorContainer = "operator"

// findImage is the image that the operator runs, which its own pod tells: tools
// that give a pod another image change no argument that names one.
func findImage(ctx context.Context, cfg *rest.Config) (string, error) {
	key := client.ObjectKey{Namespace: os.Getenv("POD_NAMESPACE"), Name: os.Getenv("POD_NAME")}
	if key.Namespace == "" || key.Name == "" {
		return "", errors.New("name the image for nodes that name none with --image, or the operator's own pod with POD_NAME and POD_NAMESPACE")
	}
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		return "", err
	}
	return imageOf(ctx, c, key)
}

// imageOf is the image of the operator in a pod.
func imageOf(ctx context.Context, c client.Reader, pod client.ObjectKey) (string, error) {
	object := &corev1.Pod{}
	if err := c.Get(ctx, pod, object); err != nil {
		return "", fmt.Errorf("ask the pod %s for its image, as there is no --image: %w", pod, err)
	}
	for _, container := range object.Spec.Containers {
		if container.Name == operatorContainer {
			return container.Image, nil
		}
	}
	return "", fmt.Errorf("the pod %s has no container %s; name the image for nodes that name none with --image", pod, operatorContainer)
}
