/* A buffer is kept out of children before it is registered. */
#include "common.h"

int main(void)
{
	kernel();
	char *buffer = pages(4);
	must(madvise(buffer, 4 * PAGE, MADV_DONTFORK), "madvise");
	memset(buffer, 1, 4 * PAGE);
	int fd = ring();
	reg(fd, buffer, 4 * PAGE);
	pid_t pid = child();
	memset(buffer, 2, 4 * PAGE);
	must(waitpid(pid, NULL, 0), "waitpid");
	unreg(fd);
	return 0;
}
