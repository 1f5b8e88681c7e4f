/* A loader of data registers its buffers, and then forks a worker, as PyTorch's does. */
#include "common.h"

int main(void)
{
	kernel();
	char *buffer = pages(16);
	memset(buffer, 1, 16 * PAGE);
	int fd = ring();
	reg(fd, buffer, 16 * PAGE);
	pid_t pid = child();
	memset(buffer, 2, 16 * PAGE);
	must(waitpid(pid, NULL, 0), "waitpid");
	unreg(fd);
	return 0;
}
