/* Has children find the memory zeroed, before it is registered. */
#include "common.h"

int main(void)
{
	kernel();
	char *buffer = pages(4);
	memset(buffer, 1, 4 * PAGE);
	must(madvise(buffer, 4 * PAGE, MADV_WIPEONFORK), "madvise");
	int fd = ring();
	reg(fd, buffer, 4 * PAGE);
	pid_t pid = child();
	memset(buffer, 2, 4 * PAGE);
	waitpid(pid, NULL, 0);
	unreg(fd);
	return 0;
}
