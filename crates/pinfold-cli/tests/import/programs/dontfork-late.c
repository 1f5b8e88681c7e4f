/* A buffer is kept out of children, but after the fork that matters. */
#include "common.h"

int main(void)
{
	kernel();
	char *buffer = pages(4);
	memset(buffer, 1, 4 * PAGE);
	int fd = ring();
	reg(fd, buffer, 4 * PAGE);
	pid_t pid = child();
	must(madvise(buffer, 4 * PAGE, MADV_DONTFORK), "madvise");
	memset(buffer, 2, 4 * PAGE);
	must(waitpid(pid, NULL, 0), "waitpid");
	unreg(fd);
	return 0;
}
