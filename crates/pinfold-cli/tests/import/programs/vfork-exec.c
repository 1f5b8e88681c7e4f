/* A program is started by vfork while a buffer is registered. */
#include "common.h"

int main(void)
{
	kernel();
	char *buffer = pages(4);
	memset(buffer, 1, 4 * PAGE);
	int fd = ring();
	reg(fd, buffer, 4 * PAGE);
	pid_t pid = vfork();
	if (pid == 0) {
		execl("./true", "true", (char *)NULL);
		_exit(1);
	}
	memset(buffer, 2, 4 * PAGE);
	must(waitpid(pid, NULL, 0), "waitpid");
	unreg(fd);
	return 0;
}
