DELETE FROM {exams} WHERE id = $1
