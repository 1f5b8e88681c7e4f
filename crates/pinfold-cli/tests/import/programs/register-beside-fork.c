/* A thread registers a buffer while another one forks. */
#include "common.h"

static char *buffer;

static void *registrar(void *arg)
{
	reg(*(int *)arg, buffer, PAGE);
	return NULL;
}

int main(void)
{
	pthread_t thread;

	kernel();
	buffer = pages(1);
	memset(buffer, 1, PAGE);
	int fd = ring();
	pthread_create(&thread, NULL, registrar, &fd);
	pid_t pid = child();
	buffer[0] = 2;
	pthread_join(thread, NULL);
	must(waitpid(pid, NULL, 0), "waitpid");
	unreg(fd);
	return 0;
}
